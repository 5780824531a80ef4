package talosapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// linesKept is how many lines a node remembers of each log, and lineLength how
// many bytes of a line.
const (
	linesKept  = 2000
	lineLength = 4096
)

// Logs are the logs of one boot of a node: the kernel's, one of each service,
// and one of each container. They are safe for concurrent use. The zero value
// is not ready; use NewLogs.
type Logs struct {
	kernel *lineLog

	mu       sync.Mutex          // guards services
	services map[string]*lineLog // by the ID of the service or container
}

// NewLogs returns empty logs.
func NewLogs() *Logs { return &Logs{kernel: newLineLog(), services: map[string]*lineLog{}} }

// Kernel adds a line to the kernel's log, in the form in which Dmesg gives it
// out: what user space writes to /dev/kmsg has no priority of its own and
// becomes a warning.
func (l *Logs) Kernel(text string) {
	l.kernel.add(fmt.Sprintf("user: warning: [%s]: %s\n", time.Now().UTC().Format(time.RFC3339Nano), text))
}

// Service returns the log of a service or container, which exists from then on.
// Each write to it is a line, or several.
func (l *Logs) Service(id string) interface{ Write([]byte) (int, error) } { return l.service(id) }

func (l *Logs) service(id string) *lineLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.services[id] == nil {
		l.services[id] = newLineLog()
	}
	return l.services[id]
}

func (l *Logs) find(id string) *lineLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.services[id]
}

// ids returns the names of Talos's own logs; those of pods are not among them.
func (l *Logs) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l.services)), func(id string) bool { return strings.Contains(id, "/") })
}

// lineLog is the last lines of a log.
type lineLog struct {
	mu      sync.Mutex    // guards what follows
	lines   []string      // oldest first, each with its line feed
	dropped int           // how many are gone from the front
	grown   chan struct{} // closed and replaced when a line is added
}

func newLineLog() *lineLog { return &lineLog{grown: make(chan struct{})} }

// Write adds the lines in p. It never fails.
func (g *lineLog) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		g.add(strings.TrimSuffix(string(line), "\n") + "\n")
	}
	return len(p), nil
}

func (g *lineLog) add(line string) {
	if len(line) > lineLength {
		line = line[:lineLength-1] + "\n"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, line)
	if len(g.lines) > linesKept+linesKept/4 { // not at each line
		extra := len(g.lines) - linesKept
		g.lines = slices.Clone(g.lines[extra:])
		g.dropped += extra
	}
	close(g.grown)
	g.grown = make(chan struct{})
}

// after returns the lines from number *next on and moves it past them.
func (g *lineLog) after(next *int) ([]string, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	batch := slices.Clone(g.lines[max(0, *next-g.dropped):])
	*next = g.dropped + len(g.lines)
	return batch, g.grown
}

// stream sends the last tail lines, or all if it is negative, and then the new
// ones if it is to follow.
func (g *lineLog) stream(ctx context.Context, tail int, follow bool, send func(*common.Data) error) error {
	next := 0
	if tail >= 0 {
		g.mu.Lock()
		next = g.dropped + max(0, len(g.lines)-tail)
		g.mu.Unlock()
	}
	for {
		batch, grown := g.after(&next)
		for _, line := range batch {
			if err := send(&common.Data{Bytes: []byte(line)}); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// Dmesg streams the kernel's log. Tail leaves out what is there already, and
// so means something with Follow only.
func (s *machineService) Dmesg(req *machine.DmesgRequest, stream grpc.ServerStreamingServer[common.Data]) error {
	tail := -1
	if req.GetTail() {
		tail = 0
	}
	return s.cfg.Logs.kernel.stream(stream.Context(), tail, req.GetFollow(), stream.Send)
}

// Logs streams the log of a service, or of a container in one of Kubernetes'
// pods ("kube-system/kube-apiserver-cp-1:kube-apiserver").
func (s *machineService) Logs(req *machine.LogsRequest, stream grpc.ServerStreamingServer[common.Data]) error {
	log := s.cfg.Logs.find(req.GetId())
	if req.GetNamespace() != constants.SystemContainerdNamespace && req.GetId() != "kubelet" {
		if err := inspectable(req.GetNamespace(), req.GetDriver()); err != nil {
			return err
		}
		if log == nil {
			return fmt.Errorf("container %q not found", req.GetId())
		}
	}
	if log == nil {
		return fmt.Errorf("log %q was not registered", req.GetId())
	}
	return log.stream(stream.Context(), int(req.GetTailLines()), req.GetFollow(), stream.Send)
}

// LogsContainers lists the logs of services.
func (s *machineService) LogsContainers(context.Context, *emptypb.Empty) (*machine.LogsContainersResponse, error) {
	return &machine.LogsContainersResponse{Messages: []*machine.LogsContainer{{Ids: s.cfg.Logs.ids()}}}, nil
}

// inspectable refuses the namespaces of containers that Talos refuses (Talos
// v1.13.9 internal/app/machined/internal/server/v1alpha1/v1alpha1_server.go,
// as are the texts of every refusal in this package unless another file is
// named).
func inspectable(namespace string, driver common.ContainerDriver) error {
	switch {
	case namespace == "":
		return status.Error(codes.InvalidArgument, "namespace can't be empty")
	case driver == common.ContainerDriver_CRI && namespace != constants.K8sContainerdNamespace:
		return errors.New("CRI inspector is supported only for K8s namespace")
	case driver != common.ContainerDriver_CRI && driver != common.ContainerDriver_CONTAINERD:
		return status.Errorf(codes.InvalidArgument, "unsupported driver %q", driver)
	}
	return nil
}

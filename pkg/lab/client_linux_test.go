package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
)

// runClient is the stock Talos client on the workstation. It prints what it
// sees, and what is wrong as a line that begins with "error".
func runClient(what string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	nodes := strings.Split(os.Getenv(EnvNodes), ",")
	does := map[string]func(context.Context, []string) error{"routing": clientRouting, "reboot": clientReboot}
	if err := does[what](ctx, nodes); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

func connect(ctx context.Context, endpoints ...string) (*talosclient.Client, error) {
	return talosclient.New(ctx, talosclient.WithConfigFromFile(os.Getenv("TALOSCONFIG")), talosclient.WithEndpoints(endpoints...))
}

// clientRouting asks all nodes at once, each by name, and one through another.
func clientRouting(ctx context.Context, nodes []string) error {
	c, err := connect(ctx, nodes...)
	if err != nil {
		return err
	}
	versions, err := c.Version(talosclient.WithNodes(ctx, nodes...))
	if err != nil {
		return err
	}
	for _, m := range versions.GetMessages() {
		fmt.Println("version of", m.GetMetadata().GetHostname(), m.GetVersion().GetTag())
	}
	for _, n := range nodes {
		r, err := c.MachineClient.Hostname(talosclient.WithNode(ctx, n), &emptypb.Empty{})
		if err != nil {
			return err
		}
		fmt.Println("name of", n, r.GetMessages()[0].GetHostname())
	}
	through, err := connect(ctx, nodes[0])
	if err != nil {
		return err
	}
	far := talosclient.WithNode(ctx, nodes[1])
	list, err := safe.StateListAll[*network.AddressStatus](far, through.COSI)
	if err != nil {
		return err
	}
	for a := range list.All() {
		fmt.Println("address", a.Metadata().ID())
	}
	names := make(chan safe.WrappedStateEvent[*network.HostnameStatus])
	if err := safe.StateWatch(far, through.COSI, network.NewHostnameStatus(network.NamespaceName, network.HostnameID).Metadata(), names); err != nil {
		return err
	}
	e := <-names
	name, err := e.Resource()
	if err != nil || e.Type() != state.Created {
		return fmt.Errorf("watch: %v, %w", e.Type(), err)
	}
	fmt.Println("watched", name.TypedSpec().Hostname)
	_, err = safe.StateListAll[*network.AddressStatus](talosclient.WithNodes(ctx, nodes...), through.COSI)
	fmt.Println("list of many", talosclient.StatusCode(err) == codes.InvalidArgument)
	return nil
}

// clientReboot reboots a node and prints its events, over the break of the stream.
func clientReboot(ctx context.Context, nodes []string) error {
	c, err := connect(ctx, nodes[1])
	if err != nil {
		return err
	}
	stream, err := c.MachineClient.Events(ctx, &machineapi.EventsRequest{})
	if err != nil {
		return err
	}
	if hello, err := stream.Recv(); err != nil || hello.GetData() != nil {
		return fmt.Errorf("first event %v, %w; want an empty one", hello, err)
	}
	reply, err := c.MachineClient.Reboot(ctx, &machineapi.RebootRequest{})
	if err != nil {
		return err
	}
	actor := reply.GetMessages()[0].GetActorId()
	for {
		e, err := stream.Recv()
		if err != nil {
			break
		}
		if line := eventLine(e); line != "" {
			fmt.Println(line, e.GetActorId() == actor)
		}
	}
	fmt.Println("stream broken")
	for ctx.Err() == nil {
		again, err := c.MachineClient.Events(ctx, &machineapi.EventsRequest{TailEvents: -1})
		for err == nil {
			var e *machineapi.Event
			if e, err = again.Recv(); err != nil {
				break
			}
			line := eventLine(e)
			fmt.Println(line)
			if line == "stage RUNNING ready true" {
				return nil
			}
		}
		sleep(ctx, 50*time.Millisecond)
	}
	return errors.New("the node did not come back")
}

// eventLine is an event in words, or "" for one of another kind.
func eventLine(e *machineapi.Event) string {
	if e.GetData() == nil {
		return ""
	}
	m, err := e.GetData().UnmarshalNew()
	if err != nil {
		return "error: " + err.Error()
	}
	switch m := m.(type) {
	case *machineapi.SequenceEvent:
		return fmt.Sprintf("sequence %s %s", m.GetSequence(), m.GetAction())
	case *machineapi.PhaseEvent:
		return fmt.Sprintf("phase %s %s", m.GetPhase(), m.GetAction())
	case *machineapi.TaskEvent:
		return fmt.Sprintf("task %s %s", m.GetTask(), m.GetAction())
	case *machineapi.MachineStatusEvent:
		return fmt.Sprintf("stage %s ready %v", m.GetStage(), m.GetStatus().GetReady())
	case *machineapi.RestartEvent:
		return "restart"
	}
	return ""
}

// inOrder returns the first of the wanted lines that does not follow the ones
// before it, or "".
func inOrder(lines, want []string) string {
	for _, w := range want {
		i := slices.Index(lines, w)
		if i < 0 {
			return w
		}
		lines = lines[i+1:]
	}
	return ""
}

func TestStockClientWorksUnchanged(t *testing.T) {
	l := start(t)
	for what, want := range map[string][]string{
		"routing": {
			"version of 10.5.0.2 v1.13.9", "name of 10.5.0.2 cp-1", "name of 10.5.0.3 cp-2", "name of 10.5.0.4 cp-3",
			"address eth0/10.5.0.3/24", "watched cp-2", "list of many true",
		},
		"reboot": {
			"sequence reboot START true", "stage REBOOTING ready true false", "phase cleanup START true", "task stopAllPods START true",
			"task stopAllPods STOP true", "phase stopServices START true", "phase kexec START true", "phase stopEverything START true",
			"restart false", "stream broken", "sequence initialize START", "sequence boot START", "stage BOOTING ready false", "sequence boot STOP", "stage RUNNING ready true",
		},
	} {
		t.Run(what, func(t *testing.T) {
			out, code, err := runIn(t.Context(), t, l, nil, "vipctl", "test-client", what)
			lines := strings.Split(out, "\n")
			if missing := inOrder(lines, want); err != nil || code != 0 || missing != "" {
				t.Errorf("the client saw\n%s(%d, %v); want %q in its place among %q", out, code, err, missing, want)
			}
		})
	}
}

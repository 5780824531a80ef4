package talosapi

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	timeapi "github.com/siderolabs/talos/pkg/machinery/api/time"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// timeService compares the node's clock with a time server's.
//
// Talos asks the server by NTP. Nothing leaves the lab, and so every server
// answers here with the clock of the machine that the lab runs on: what a node's
// clock is off by is seen as the difference of localtime and remotetime.
type timeService struct {
	timeapi.UnimplementedTimeServiceServer
	now func() time.Time // the node's clock
}

// Time asks the default server: no configuration of the lab names one.
func (s *timeService) Time(ctx context.Context, _ *emptypb.Empty) (*timeapi.TimeResponse, error) {
	return s.TimeCheck(ctx, &timeapi.TimeRequest{Server: constants.DefaultNTPServer})
}

// TimeCheck asks the server that the caller names. The node has no clock
// device, which is what a path under /dev names (Talos v1.13.9
// internal/app/machined/internal/server/v1alpha1/v1alpha1_time.go).
func (s *timeService) TimeCheck(_ context.Context, req *timeapi.TimeRequest) (*timeapi.TimeResponse, error) {
	server := req.GetServer()
	if server == "" {
		return nil, status.Error(codes.InvalidArgument, "ntp server is required")
	}
	if strings.HasPrefix(server, "/dev/") {
		err := &os.PathError{Op: "open", Path: server, Err: os.ErrNotExist}
		return nil, fmt.Errorf("error querying PTP device %q: %w", server, err)
	}
	return &timeapi.TimeResponse{Messages: []*timeapi.Time{{
		Server:     server,
		Localtime:  timestamppb.New(s.now()),
		Remotetime: timestamppb.New(time.Now()),
	}}}, nil
}

// Clock is a node's clock, which may be off. Its zero value goes right, and so
// does nil. It is safe for concurrent use.
type Clock struct{ offset atomic.Int64 }

// Now returns the time by this clock.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Offset()) }

// Offset returns by how much the clock is ahead; behind if negative.
func (c *Clock) Offset() time.Duration {
	if c == nil {
		return 0
	}
	return time.Duration(c.offset.Load())
}

// Set puts the clock ahead by offset, or behind if that is negative.
func (c *Clock) Set(offset time.Duration) { c.offset.Store(int64(offset)) }

// bootTime returns when this boot began as the kernel works it out from the
// clock: a clock that is put ahead takes it along.
func (cfg Config) bootTime() uint64 {
	return cfg.BootTime + uint64(int64(cfg.Clock.Offset()/time.Second))
}

package talos

import (
	"context"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// followEvents gives a hint whenever the node's stream of events tells that its
// addresses changed, until ctx ends. The event names addresses alone, without
// those of Kubernetes, so it is a reason to ask and no answer. A node that
// refuses the stream is watched without hints.
func followEvents(ctx context.Context, l *link, hints chan<- struct{}) {
	for ctx.Err() == nil {
		switch status.Code(hearEvents(ctx, l, hints)) {
		case codes.PermissionDenied, codes.Unimplemented:
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchRetryMax):
		}
	}
}

// hearEvents follows one stream to its end. The first event is empty, and a
// newer Talos may send kinds that are not known here; both are passed over.
func hearEvents(ctx context.Context, l *link, hints chan<- struct{}) error {
	stream, err := l.api.MachineClient.Events(ctx, &machineapi.EventsRequest{})
	if err != nil {
		return err
	}
	for {
		e, err := stream.Recv()
		if err != nil {
			return err
		}
		if !e.GetData().MessageIs((*machineapi.AddressEvent)(nil)) {
			continue
		}
		select {
		case hints <- struct{}{}:
		default: // one is waiting already
		}
	}
}

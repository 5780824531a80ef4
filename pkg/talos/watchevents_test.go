package talos

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// stream serves a stream, of this node's own or one that was forwarded.
func (n *fakeNode) stream(ss grpc.ServerStream, method string, h grpc.StreamHandler) error {
	if strings.HasPrefix(method, "/machine.") {
		return h(n, ss)
	}
	if n.slow.Load() > 0 {
		ss = &slowStream{ServerStream: ss, each: time.Duration(n.slow.Load())}
	}
	if strings.HasSuffix(method, "/Watch") {
		ss = &deafStream{ServerStream: ss, node: n}
	}
	return h(n.cosi(), ss)
}

// slowStream is one over a line on which each message takes its time.
type slowStream struct {
	grpc.ServerStream
	each time.Duration
}

func (s *slowStream) SendMsg(m any) error {
	select {
	case <-time.After(s.each):
		return s.ServerStream.SendMsg(m)
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

// deafStream loses what the node sends while the node is deaf, and what comes
// after the head of the stream where it is stuck.
type deafStream struct {
	grpc.ServerStream
	node *fakeNode
	sent int // used by one goroutine
}

// ofTomorrow are events of a type that is not known here: one of nothing, and one
// of an address that is not there.
func ofTomorrow() *cosiv1alpha1.WatchResponse {
	return &cosiv1alpha1.WatchResponse{Event: []*cosiv1alpha1.Event{{EventType: 77}, {EventType: 77, Resource: wire(addressStatus("10.5.0.50/32"))}}}
}

// wire is a resource as it is sent.
func wire(r resource.Resource) *cosiv1alpha1.Resource {
	generic, err := protobuf.FromResource(r)
	if err != nil {
		panic(err)
	}
	sent, err := generic.Marshal()
	if err != nil {
		panic(err)
	}
	return sent
}

func (s *deafStream) SendMsg(m any) error {
	s.sent++
	if s.node.deaf.Load() || s.node.stuck.Load() && s.sent > 1 {
		return nil
	}
	if s.sent > 1 && s.node.tomorrow.Load() {
		if err := s.ServerStream.SendMsg(ofTomorrow()); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(m)
}

// Events sends an empty event, and then those of n.events.
func (n *fakeNode) Events(_ *machineapi.EventsRequest, stream machineapi.MachineService_EventsServer) error {
	if n.events == nil {
		return status.Error(codes.Unimplemented, "no events here")
	}
	if err := stream.Send(&machineapi.Event{}); err != nil {
		return err
	}
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case e := <-n.events:
			if err := stream.Send(e); err != nil {
				return err
			}
		}
	}
}

func TestHearEvents(t *testing.T) {
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	n.events = make(chan *machineapi.Event)
	l, _, err := w.client("10.5.0.2").link(w.client("10.5.0.2").targetOf(netip.MustParseAddr("10.5.0.2")))
	if err != nil {
		t.Fatal(err)
	}
	hints := make(chan struct{}, 1)
	go followEvents(t.Context(), l, hints)
	for _, kind := range []string{"machine.ServiceStateEvent", "machine.NewsOfTomorrowEvent", "machine.AddressEvent"} {
		if len(hints) > 0 {
			t.Errorf("a hint before %s; want one for the addresses only", kind)
		}
		select {
		case n.events <- &machineapi.Event{Data: &anypb.Any{TypeUrl: "talos/runtime/" + kind, Value: []byte{0xff}}}:
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody takes %s; want that events are followed", kind)
		}
	}
	select {
	case <-hints:
	case <-time.After(10 * time.Second):
		t.Error("no hint of the addresses")
	}
}

// A watch that stands still is no reason to miss a change, nor does its loss
// show as a flapping address when it is at work again.
func TestWatchAddressesOverADeafWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := threeNodes(w)[0]
	c, seen := w.client("10.5.0.2"), &watched{more: make(chan struct{}, 100)}
	go func() { _ = c.WatchAddresses(t.Context(), "10.5.0.2", seen.report) }()
	vip := netip.MustParseAddr("10.5.0.50")
	if first := seen.next(t); !first.Holds(vip) {
		t.Fatalf("at first %+v; want the VIP", first)
	}
	n.deaf.Store(true)
	n.shed("10.5.0.50/32")
	if got := seen.next(t); got.Gap != nil || got.Holds(vip) {
		t.Errorf("released: %+v; want no VIP", got)
	}
	n.carry("10.5.0.50/32")
	if got := seen.next(t); got.Gap != nil || !got.Holds(vip) {
		t.Errorf("acquired: %+v; want the VIP", got)
	}
}

// What a newer Talos tells of in a way of its own is passed over: it neither
// breaks the watch, nor is it an address.
func TestWatchOfANewerTalos(t *testing.T) {
	w := newWorld(t)
	n := w.node("cp-1", "10.5.0.2", 0xa1)
	n.tomorrow.Store(true)
	c, seen := w.client("10.5.0.2"), &watched{more: make(chan struct{}, 100)}
	go func() { _ = c.WatchAddresses(t.Context(), "10.5.0.2", seen.report) }()
	vip := netip.MustParseAddr("10.5.0.50")
	for i, want := range []int{2, 3, 2} {
		if got := seen.next(t); got.Gap != nil || len(got.Present) != want || got.Holds(vip) {
			t.Fatalf("change %d is %+v; want %d addresses, and no VIP", i, got, want)
		}
		switch i {
		case 0:
			n.carry("10.5.0.60/32")
		case 1:
			n.shed("10.5.0.60/32")
		}
	}
}

func TestWatchAddressesVia(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	w.hide("10.5.0.4:50000")
	c := w.client("10.5.0.2")
	snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil {
		t.Fatal(err)
	}
	n := snap.Node("cp-3")
	if n == nil || n.Via == "" {
		t.Fatalf("cp-3 = %+v; want it read through an endpoint", n)
	}
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = c.WatchAddressesVia(t.Context(), "cp-3", n.Via, seen.report) }()
	vip := netip.MustParseAddr("10.5.0.50")
	if first := seen.next(t); first.Gap != nil || first.Holds(vip) || first.Node != "cp-3" {
		t.Errorf("at first %+v; want cp-3 without the VIP", first)
	}
	nodes[2].carry("10.5.0.50/32")
	if got := seen.next(t); got.Gap != nil || !got.Holds(vip) {
		t.Errorf("acquired: %+v; want the VIP", got)
	}
}

// Where a proxy alone reaches the nodes, each is watched through it, one to one.
func TestWatchAddressesThroughAProxy(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	w.hide("10.5.0.3:50000")
	cfg := w.config([]string{"10.5.0.2"}, []string{"10.5.0.3"})
	cfg.forwarded = true
	seen := &watched{more: make(chan struct{}, 100)}
	go func() { _ = w.open(cfg).WatchAddresses(t.Context(), "10.5.0.3", seen.report) }()
	vip := netip.MustParseAddr("10.5.0.50")
	if first := seen.next(t); first.Gap != nil || first.Holds(vip) || len(first.Present) != 2 {
		t.Errorf("at first %+v; want cp-2 without the VIP", first)
	}
	nodes[1].carry("10.5.0.50/32")
	if got := seen.next(t); got.Gap != nil || !got.Holds(vip) {
		t.Errorf("acquired: %+v; want the VIP", got)
	}
	w.breakAll("10.5.0.2:50000")
	if gap := seen.next(t); gap.Gap == nil {
		t.Errorf("the proxy is lost: %+v; want a gap", gap)
	}
	if got := seen.next(t); got.Gap != nil || !got.Holds(vip) {
		t.Errorf("the proxy is back: %+v; want the VIP", got)
	}
}

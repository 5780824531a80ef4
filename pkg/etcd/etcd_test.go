package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func key(vip, host string, lease, revision int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: fmt.Appendf(nil, "talos:v1:vip:election:%s/%x", vip, lease), Value: []byte(host), Lease: lease, CreateRevision: revision}
}

func answering(kvs ...*mvccpb.KeyValue) func(*pb.RangeRequest) (*pb.RangeResponse, error) {
	return func(*pb.RangeRequest) (*pb.RangeResponse, error) {
		return &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: 42}, Kvs: kvs}, nil
	}
}

func lasting(granted, left int64) func(context.Context, int64) (*pb.LeaseTimeToLiveResponse, error) {
	return func(_ context.Context, id int64) (*pb.LeaseTimeToLiveResponse, error) {
		return &pb.LeaseTimeToLiveResponse{ID: id, GrantedTTL: granted, TTL: left}, nil
	}
}

func TestElectionsOfANode(t *testing.T) {
	tests := []struct {
		name string
		etcd *fakeEtcd
		want string // of the error, "" for none
		line string // the candidates
	}{
		{"a queue in the order in which its keys were made, whatever the order told",
			&fakeEtcd{queue: answering(key("10.5.0.50", "cp-2", 0xa2, 9), key("10.5.0.50", "cp-1", 0xa1, 7)), lease: lasting(60, 41)},
			"", "cp-1 a1 41/60, cp-2 a2 41/60"},
		{"nobody campaigns", &fakeEtcd{queue: answering()}, "", ""},
		{"a lease that ran out and was not looked at yet has nothing left",
			&fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, -2)}, "", "cp-1 1 0/60"},
		{"a lease that a new leader extended", &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, 61)}, "", "cp-1 1 61/60"},
		{"a lease that is gone by now keeps its candidate",
			&fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(0, -1)}, "", "cp-1 1 the lease has ended"},
		{"a lease with a time that cannot be", &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, 9_223_372_036)},
			"", "cp-1 1 9223372036 s left of 60 s cannot be"},
		{"a key without a lease", &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 0, 7))}, "", "cp-1 0 the key has no lease: it stays until somebody deletes it"},
		{"a name with a terminal's commands is quoted",
			&fakeEtcd{queue: answering(key("10.5.0.50", "\x1b[2Jcp-1", 1, 7)), lease: lasting(60, 41)}, "", `"\x1b[2Jcp-1" 1 41/60`},
		{"a leader that is gone when the lease is asked for",
			&fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: func(context.Context, int64) (*pb.LeaseTimeToLiveResponse, error) {
				return nil, rpctypes.ErrGRPCLeaderChanged
			}}, "", "cp-1 1 its leader has just changed"},
		{"no leader is known", &fakeEtcd{queue: failing(rpctypes.ErrGRPCNoLeader)}, "it knows of no leader, so it has no quorum", ""},
		{"a learner", &fakeEtcd{queue: failing(rpctypes.ErrGRPCNotSupportedForLearner)}, "it is a learner, which answers no such question", ""},
		{"an answer with other keys", &fakeEtcd{queue: answering(&mvccpb.KeyValue{Key: []byte("/registry/secrets/x")})}, "its answer has a key that was not asked for", ""},
		{"the keys of another VIP with the same beginning", &fakeEtcd{queue: answering(key("10.5.0.500", "cp-1", 1, 7))}, "its answer has a key that was not asked for", ""},
		{"an answer without a revision", &fakeEtcd{queue: func(*pb.RangeRequest) (*pb.RangeResponse, error) { return &pb.RangeResponse{}, nil }}, "its answer has no revision", ""},
		{"an answer that is too large", &fakeEtcd{queue: answering(key("10.5.0.50", strings.Repeat("x", maxAnswer), 1, 7))}, "its answer is too large", ""},
		{"a queue of which more is to come", &fakeEtcd{queue: func(r *pb.RangeRequest) (*pb.RangeResponse, error) {
			resp, err := answering(key("10.5.0.50", "cp-1", 1, 7))(r)
			resp.More = true
			return resp, err
		}}, "more than 64 keys are in the queue", ""},
		{"a name without end is cut off", &fakeEtcd{queue: answering(key("10.5.0.50", strings.Repeat("x", 4*maxName), 1, 7)), lease: lasting(60, 41)},
			"", strings.Repeat("x", maxName) + " 1 41/60"},
		{"a queue that is too long", &fakeEtcd{queue: answering(slices.Repeat([]*mvccpb.KeyValue{key("10.5.0.50", "x", 1, 7)}, maxCandidates+1)...)},
			"more than 64 keys are in the queue", ""},
	}
	w := newWorld(t)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := netip.AddrFrom4([4]byte{10, 5, 1, byte(i)}).String()
			w.serve(addr, tt.etcd)
			snap := nodes(addr)
			w.client(5*time.Second).Collect(t.Context(), snap)
			view := snap.VIPs[0].Elections[0]
			want := ""
			if tt.want != "" {
				want = "etcd on cp-1 (" + addr + ":2379): " + tt.want
			}
			if view.Node != "cp-1" || view.Election.Err() != want || lineOf(view.Election.Value()) != tt.line {
				t.Errorf("Collect: %s: %q, error %q; want %q, error %q", view.Node, lineOf(view.Election.Value()), view.Election.Err(), tt.line, want)
			}
		})
	}
}

func failing(err error) func(*pb.RangeRequest) (*pb.RangeResponse, error) {
	return func(*pb.RangeRequest) (*pb.RangeResponse, error) { return nil, err }
}

func lineOf(e cluster.Election) string {
	var list []string
	for _, c := range e.Candidates {
		left := c.Remaining.Err()
		if ttl, ok := c.TTL.Get(); ok {
			left = fmt.Sprintf("%v/%v", c.Remaining.Value(), ttl)
		}
		list = append(list, fmt.Sprintf("%s %s %s", c.Hostname, c.Lease, left))
	}
	return strings.Join(list, ", ")
}

// TestOneBadMemberDisturbsNobody has every sort of broken member beside a good
// one, and a deadline.
func TestOneBadMemberDisturbsNobody(t *testing.T) {
	w := newWorld(t)
	good := &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, 41)}
	w.serve("10.5.0.2", good)
	w.listen("10.5.0.3") // takes connections and says nothing
	stream(w.listen("10.5.0.4"), func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte("garbage\n"), 100)) })
	foreign := newWorld(t)
	foreign.serve("10.5.0.5", good)
	for at, port := range foreign.ports {
		w.ports[at] = port
	}
	w.lead("10.5.0.6", w.ports[netip.MustParseAddrPort("10.5.0.2:2379")]) // its certificate is for another
	w.serve("10.5.0.8", &fakeEtcd{queue: func(*pb.RangeRequest) (*pb.RangeResponse, error) { select {} }})
	w.serve("10.5.0.9", &fakeEtcd{queue: good.queue, lease: func(ctx context.Context, _ int64) (*pb.LeaseTimeToLiveResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	stream(w.listen("10.5.0.10"), func(c net.Conn) { drip(tls.Server(c, asHTTP2(w.ca.server("10.5.0.10")))) })
	snap := nodes("10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5", "10.5.0.6", "10.5.0.7", "10.5.0.8", "10.5.0.9", "10.5.0.10", "")
	begun := time.Now()
	w.client(time.Second).Collect(t.Context(), snap)
	if took := time.Since(begun); took > 2500*time.Millisecond {
		t.Errorf("Collect took %s; want it to keep to a second", took)
	}
	want := []string{
		"cp-1 1 41/60", "no answer within 1 s", "what answers there is no etcd", "its certificate is of another authority",
		"certificate is valid for 10.5.0.2, not 10.5.0.6", "connection refused: etcd does not run there", "no answer within 1 s",
		"cp-1 1 no answer in time", "no answer within 1 s", "its address is not known",
	}
	for i, view := range snap.VIPs[0].Elections {
		if got := lineOf(view.Election.Value()) + view.Election.Err(); !strings.HasSuffix(got, want[i]) || view.Node != snap.Nodes[i].Name {
			t.Errorf("%s = %q; want %q", view.Node, got, want[i])
		}
	}
}

// stream does the same with every connection.
func stream(l net.Listener, do func(net.Conn)) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = c.Close() }(); do(c) }()
		}
	}()
}

// drip sends the settings that begin an HTTP/2 connection, a byte at a time.
func drip(c net.Conn) {
	settings := append([]byte{0, 6, 0, 4, 0, 0, 0, 0, 0}, make([]byte, 0x600)...)
	for _, b := range settings {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestRound names things in the order in which a look learns them: members are
// asked before all is known, once each, and a view is there for every node and
// VIP of the snapshot.
func TestRound(t *testing.T) {
	w := newWorld(t)
	first := w.serve("10.5.0.2", &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, 41)})
	w.serve("10.5.0.3", &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, 41)})
	snap := nodes("10.5.0.2", "10.5.0.3", "10.5.0.9")
	for name, order := range map[string]func(r *Round, open func()){
		"the client comes last": func(r *Round, open func()) {
			r.VIP(someVIP)
			r.Node(snap.Nodes[0].Addr)
			open()
		},
		"the VIP comes last": func(r *Round, open func()) {
			open()
			r.Node(snap.Nodes[0].Addr)
			r.VIP(someVIP)
		},
		"all is said twice": func(r *Round, open func()) {
			for range 2 {
				r.Node(snap.Nodes[0].Addr)
				r.VIP(someVIP)
				open()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := first.count()
			r := NewRound(t.Context())
			order(r, func() { r.Open(w.client(5*time.Second), nil) })
			for end := time.Now().Add(5 * time.Second); first.count() < before+2; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d calls before Fill; want the queue and a lease", first.count()-before)
				}
			}
			r.Fill(snap)
			if got := first.count() - before; got != 2 {
				t.Errorf("%d calls; want the queue and a lease once", got)
			}
			if len(r.members) != 3 {
				t.Errorf("%d connections; want one a node", len(r.members))
			}
			for addr, m := range r.members {
				if state := m.conn.GetState(); state != connectivity.Shutdown {
					t.Errorf("the connection to %s is %s after Fill; want it closed", addr, state)
				}
			}
			views := snap.VIPs[0].Elections
			if len(views) != 3 || !views[0].Election.Known() || !views[1].Election.Known() ||
				views[2].Node != "cp-3" || !strings.HasSuffix(views[2].Election.Err(), "etcd does not run there") {
				t.Errorf("views = %+v; want two queues, and that nobody listens on the third", views)
			}
		})
	}
	for want, err := range map[string]error{"the role may not": errors.New("the role may not"), "no node gave etcd's certificates": nil} {
		r := NewRound(t.Context())
		if err != nil {
			r.Open(nil, err)
		}
		r.Fill(snap)
		for _, view := range snap.VIPs[0].Elections {
			if view.Election.Err() != want {
				t.Errorf("%s = %q; want %q", view.Node, view.Election.Err(), want)
			}
		}
	}
	var none *Round // of a look that does not ask etcd
	none.Node(someVIP)
	none.VIP(someVIP)
	none.Open(nil, nil)
	none.Fill(snap)
}

// TestDistrusts: only where certificates are refused, or may be, would others help.
func TestDistrusts(t *testing.T) {
	ours, others := newWorld(t), newWorld(t)
	good := &fakeEtcd{queue: answering(), lease: lasting(60, 41)}
	ours.serve("10.5.0.2", good)
	others.serve("10.5.0.3", good)
	half := ours.ca.server("10.5.0.4") // as of a member that trusts others' clients
	half.ClientCAs = others.ca.pool
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(half)))
	t.Cleanup(s.Stop)
	pb.RegisterKVServer(s, good)
	l := ours.listen("10.5.0.4")
	go func() { _ = s.Serve(l) }()
	ours.hangUp("10.5.0.5", 0) // as where the connection was gone before the refusal was read
	ours.hangUp("10.5.0.6", -1)
	ours.ports[netip.MustParseAddrPort("10.5.0.3:2379")] = others.ports[netip.MustParseAddrPort("10.5.0.3:2379")]
	snap := nodes("10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5", "10.5.0.6", "10.5.0.9")
	r := NewRound(t.Context())
	r.Open(ours.client(5*time.Second), nil)
	r.Fill(snap)
	for i, want := range []bool{false, true, true, true, true, false} {
		if got := r.Distrusts(snap.Nodes[i].Addr); got != want {
			t.Errorf("Distrusts(%s) = %t; want %t where it says %q", snap.Nodes[i].Name, got, want, snap.VIPs[0].Elections[i].Election.Err())
		}
	}
}

// A VIP may be taken for a node until somebody tells that it is one. Whichever
// comes first, there is a view of each node, and none of the VIP.
func TestRoundOfAVIPTakenForANode(t *testing.T) {
	w := newWorld(t)
	for _, addr := range []string{"10.5.0.2", "10.5.0.50"} {
		w.serve(addr, &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 1, 7)), lease: lasting(60, 41)})
	}
	asNode, asVIP := (*Round).Node, (*Round).VIP
	for i, order := range [][]func(*Round, netip.Addr){{asNode, asVIP}, {asVIP, asNode}} {
		snap := nodes("10.5.0.2")
		r := NewRound(t.Context())
		r.Open(w.client(5*time.Second), nil)
		for _, named := range order {
			named(r, someVIP)
		}
		r.Fill(snap)
		views := snap.VIPs[0].Elections
		if len(views) != 1 || views[0].Node != "cp-1" || lineOf(views[0].Election.Value()) == "" {
			t.Errorf("order %d: views = %+v; want the queue as cp-1 tells it, once", i, views)
		}
	}
}

func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	w.listen("10.5.0.2")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(nil) })
	snap, begun := nodes("10.5.0.2"), time.Now()
	w.client(time.Minute).Collect(ctx, snap)
	if err := snap.VIPs[0].Elections[0].Election.Err(); !strings.HasSuffix(err, "interrupted") || time.Since(begun) > 10*time.Second {
		t.Errorf("Collect, cancelled: %q after %s; want it interrupted at once", err, time.Since(begun))
	}
}

func asHTTP2(config *tls.Config) *tls.Config {
	config.NextProtos = []string{"h2"}
	return config
}

// Whatever a call fails with, the reason is one short line.
func FuzzShort(f *testing.F) {
	for _, seed := range []string{"etcdserver: no leader", "x509: \x1b[2J", "error reading server preface: x", "desc = ", "a\nb", "\""} {
		f.Add(uint32(codes.Unavailable), seed)
		f.Add(uint32(0), seed)
	}
	f.Fuzz(func(t *testing.T, code uint32, text string) {
		err := status.Error(codes.Code(code), text)
		if code == 0 {
			err = errors.New(text)
		}
		if got := short(err).Error(); len(got) > 10*maxName+2 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("short(%q) = %q; want one short line", text, got)
		}
	})
}

package etcd

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// TestNothingButReads is the promise to whoever lends us etcd's certificate.
func TestNothingButReads(t *testing.T) {
	w := newWorld(t)
	e := w.serve("10.5.0.2", &fakeEtcd{queue: answering(key("10.5.0.50", "cp-1", 0xa1, 7)), lease: lasting(60, 41)})
	snap := nodes("10.5.0.2")
	snap.VIPs = append(snap.VIPs, cluster.VIP{Addr: netip.MustParseAddr("fd10:5::50")})
	c := w.client(5 * time.Second)
	c.Collect(t.Context(), snap)
	if got, want := e.seen(), []string{callRange, callTimeToLive}; !slices.Equal(got, want) {
		t.Errorf("calls that were sent = %q; want %q", got, want)
	}
	if want := []string{rpctypes.MetadataHasLeader, rpctypes.MetadataHasLeader}; !slices.Equal(e.leaders, want) {
		t.Errorf("the reads want a leader: %q; want that each does, for without one a member keeps them waiting", e.leaders)
	}
	var keys []string
	for _, r := range e.ranges {
		if r.Serializable || r.Limit != maxCandidates || string(r.RangeEnd) != strings.TrimSuffix(string(r.Key), "/")+"0" {
			t.Errorf("read %v; want a linearizable read of the keys below %q, %d at most", r, r.Key, maxCandidates)
		}
		keys = append(keys, string(r.Key))
	}
	slices.Sort(keys)
	if want := []string{"talos:v1:vip:election:10.5.0.50/", "talos:v1:vip:election:fd10:5::50/"}; !slices.Equal(keys, want) {
		t.Errorf("keys that were read = %q; want %q", keys, want)
	}

	m := c.connect(netip.AddrPortFrom(snap.Nodes[0].Addr, Port))
	if m.err != nil {
		t.Fatal(m.err)
	}
	defer m.close()
	kv, lease := pb.NewKVClient(m.conn), pb.NewLeaseClient(m.conn)
	for name, call := range map[string]func() error{
		"put": func() error { _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); return err },
		"delete": func() error {
			_, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a")})
			return err
		},
		"txn":    func() error { _, err := kv.Txn(t.Context(), &pb.TxnRequest{}); return err },
		"revoke": func() error { _, err := lease.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: 1}); return err },
		"keep":   func() error { _, err := lease.LeaseKeepAlive(t.Context()); return err },
		"remove": func() error {
			_, err := pb.NewClusterClient(m.conn).MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: 1})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s over the connection = %v; want it refused before it is sent", name, err)
		}
	}
	if got := e.seen(); len(got) != 2 {
		t.Errorf("calls that were sent = %q; want the reads only", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, err := range map[string]error{
		"no certificate": second(New(nil, time.Second)),
		"no time":        second(New(&tls.Config{}, 0)),
	} {
		if err == nil {
			t.Errorf("New with %s: no error", name)
		}
	}
}

func second(_ *Client, err error) error { return err }

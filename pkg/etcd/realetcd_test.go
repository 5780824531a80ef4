package etcd

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
)

// TestRealEtcd asks an etcd of the version that Talos ships: what the other
// tests imitate must be so.
func TestRealEtcd(t *testing.T) {
	w := newWorld(t)
	member := startEtcd(t)
	w.t.Cleanup(member.Close)
	kv := member.Server
	var ids []int64
	for i, host := range []string{"cp-2", "cp-1"} {
		lease, err := kv.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: int64(0x1a0 + i), TTL: 60})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, lease.ID)
		put := key("10.5.0.50", host, lease.ID, 0)
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: put.Key, Value: put.Value, Lease: put.Lease}); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{"talos:v1:vip:election:10.5.0.5/1", "talos:v1:vip:election:10.5.0.500/1", "talos:v1:vip:election:10.5.0.500", "talos:v1:vip:election:10.5.0.50"} {
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte(other), Value: []byte("another")}); err != nil {
			t.Fatal(err)
		}
	}
	proxy(t, w.listen("10.5.0.2"), w.ca.server("10.5.0.2"), member.Clients[0].Addr().String())
	snap := nodes("10.5.0.2")
	w.client(10*time.Second).Collect(t.Context(), snap)
	e, ok := snap.VIPs[0].Elections[0].Election.Get()
	if !ok || len(e.Candidates) != 2 || e.Revision != 7 {
		t.Fatalf("election = %+v, %q; want two candidates at revision 7", e, snap.VIPs[0].Elections[0].Election.Err())
	}
	for i, c := range e.Candidates {
		left := c.Remaining.Value()
		if c.Hostname != []string{"cp-2", "cp-1"}[i] || c.Lease != fmt.Sprintf("%x", ids[i]) || c.TTL.Value() != 60 || left < 40 || left > 60 {
			t.Errorf("candidate %d = %+v; want %s with lease %x, less than 60 s left of 60 s", i, c, []string{"cp-2", "cp-1"}[i], ids[i])
		}
	}
}

// startEtcd starts one member without TLS on loopback.
func startEtcd(t *testing.T) *embed.Etcd {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.LogOutputs = t.TempDir(), "panic", []string{"/dev/null"}
	free := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls, cfg.AdvertiseClientUrls, cfg.AdvertisePeerUrls = free, free, free, free
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	member, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-member.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd does not start")
	}
	return member
}

// proxy ends TLS in front of a port.
func proxy(t *testing.T, l net.Listener, config *tls.Config, port string) {
	t.Helper()
	stream(l, func(c net.Conn) {
		front := tls.Server(c, asHTTP2(config))
		back, err := net.Dial("tcp", port)
		if err != nil {
			return
		}
		defer func() { _ = back.Close() }()
		done := make(chan struct{}, 2)
		for _, way := range [][2]net.Conn{{front, back}, {back, front}} {
			go func() { _, _ = io.Copy(way[0], way[1]); done <- struct{}{} }()
		}
		<-done
	})
}

package talos

import (
	"context"
	"crypto/tls"
	stdx509 "crypto/x509"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/siderolabs/crypto/x509"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vipctl/vipctl/pkg/cluster"
	"google.golang.org/protobuf/encoding/protowire"
)

// replace puts another server at a node's address, which does with each
// connection what it likes. No other node can forward there.
func (w *world) replace(addr string, serve func(net.Conn)) {
	w.t.Helper()
	w.isolate(addr)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	w.mu.Lock()
	w.ports[net.JoinHostPort(addr, "50000")] = l.Addr().String()
	w.mu.Unlock()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
}

// shows serves TLS with a certificate of the bundle.
func (w *world) shows(bundle *secrets.Bundle, clients tls.ClientAuthType, opts ...x509.Option) func(net.Conn) {
	w.t.Helper()
	cfg := w.serving(bundle, clients, opts...)
	return func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, tls.Server(conn, cfg))
	}
}

func (w *world) serving(bundle *secrets.Bundle, clients tls.ClientAuthType, opts ...x509.Option) *tls.Config {
	w.t.Helper()
	ca, err := x509.NewCertificateAuthorityFromCertificateAndKey(bundle.Certs.OS)
	if err != nil {
		w.t.Fatal(err)
	}
	base := []x509.Option{x509.NotAfter(time.Now().Add(time.Hour)), x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageServerAuth})}
	pair, err := x509.NewKeyPair(ca, slices.Concat(base, opts)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{*pair.Certificate}, ClientAuth: clients, NextProtos: []string{"h2"}}
}

// drips serves TLS, and in it an HTTP/2 frame whose bytes come slowly.
func (w *world) drips(names x509.Option) func(net.Conn) {
	w.t.Helper()
	cfg := w.serving(w.bundle, tls.RequireAnyClientCert, names)
	return func(conn net.Conn) {
		secured := tls.Server(conn, cfg)
		for _, b := range make([]byte, 100) {
			if _, err := secured.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(250 * time.Millisecond)
		}
	}
}

// A node that is hostile or broken costs nobody else an answer, and its row says
// in plain words what happened.
func TestHostileNode(t *testing.T) {
	other, err := secrets.NewBundle(secrets.NewClock(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const cp2 = "10.5.0.3"
	own := x509.IPAddresses([]net.IP{net.ParseIP(cp2)})
	for _, tt := range []struct {
		name    string
		arrange func(*world, []*fakeNode)
		want    string // in the error of cp-2's addresses
	}{
		{"it accepts and says nothing", func(w *world, _ []*fakeNode) {
			w.replace(cp2, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		}, ": it takes connections, and says nothing"},
		{"it loses what is sent", func(w *world, _ []*fakeNode) {
			w.cutPower(cp2 + ":50000")
			w.isolate(cp2)
		}, ": no connection comes about"},
		{"it takes questions and answers none", func(_ *world, n []*fakeNode) { n[1].hangAll.Store(true) }, ": it takes questions, and answers none"},
		{"it shakes hands and says no more", func(w *world, _ []*fakeNode) { w.replace(cp2, w.shows(w.bundle, tls.RequireAnyClientCert, own)) }, ": it shows its certificate, and then says nothing more"},
		{"it drips", func(w *world, _ []*fakeNode) {
			w.replace(cp2, func(c net.Conn) {
				for _, err := c.Write([]byte{22}); err == nil; _, err = c.Write([]byte{3}) {
					time.Sleep(100 * time.Millisecond)
				}
			})
		}, ": it takes connections, and says too little"},
		{"it drips after the handshake", func(w *world, _ []*fakeNode) { w.replace(cp2, w.drips(own)) }, ": it shows its certificate, and then says nothing more"},
		{"garbage", func(w *world, _ []*fakeNode) {
			w.replace(cp2, func(c net.Conn) { _, _ = c.Write([]byte(strings.Repeat("garbage ", 1000))) })
		}, "does not speak TLS, and so is no Talos API"},
		{"a certificate of another cluster", func(w *world, _ []*fakeNode) { w.replace(cp2, w.shows(other, tls.RequireAnyClientCert, own)) }, "another cluster's node answers there, or a stranger"},
		{"a certificate that has expired", func(w *world, _ []*fakeNode) {
			w.replace(cp2, w.shows(w.bundle, tls.RequireAnyClientCert, own, x509.NotBefore(time.Now().Add(-2*time.Hour)), x509.NotAfter(time.Now().Add(-time.Hour))))
		}, "its certificate expired on "},
		{"a certificate that is not valid yet", func(w *world, _ []*fakeNode) {
			w.replace(cp2, w.shows(w.bundle, tls.RequireAnyClientCert, own, x509.NotBefore(time.Now().Add(time.Hour)), x509.NotAfter(time.Now().Add(2*time.Hour))))
		}, "its certificate is not valid before "},
		{"a certificate for another address", func(w *world, _ []*fakeNode) {
			w.replace(cp2, w.shows(w.bundle, tls.RequireAnyClientCert, x509.IPAddresses([]net.IP{net.ParseIP("10.5.0.77")})))
		}, "its certificate is not for this address: x509: certificate is valid for 10.5.0.77, not 10.5.0.3"},
		{"maintenance mode: it asks for no certificate", func(w *world, _ []*fakeNode) { w.replace(cp2, w.shows(other, tls.NoClientCert, own)) }, "maintenance mode"},
		{"an answer beyond measure", func(_ *world, n []*fakeNode) {
			r := network.NewAddressStatus(network.NamespaceName, "eth0/huge")
			r.TypedSpec().Address = addressStatus("10.5.0.99/32").TypedSpec().Address
			r.TypedSpec().LinkName = strings.Repeat("x", answerLimit+1)
			n[1].put(r)
		}, "the answer is larger than 8 MiB"},
		{"a list without end", func(_ *world, n []*fakeNode) {
			for i := range 12 {
				r := network.NewAddressStatus(network.NamespaceName, "eth0/"+strings.Repeat("i", i+1))
				r.TypedSpec().Address = addressStatus("10.5.0.99/32").TypedSpec().Address
				r.TypedSpec().LinkName = strings.Repeat("x", answerLimit/10)
				n[1].put(r)
			}
		}, "the answer is larger than 8 MiB"},
		{"finalizers beyond measure", func(_ *world, n []*fakeNode) {
			r := addressStatus("10.5.0.99/32")
			r.Metadata().Finalizers().Set(distinct(60_000))
			n[1].put(r)
		}, "more finalizers, labels and annotations than"},
		{"finalizers beyond measure in what is not a list", func(_ *world, n []*fakeNode) {
			r := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)
			r.Metadata().Finalizers().Set(distinct(60_000))
			n[1].put(r)
			n[1].unknown = network.AddressStatusType
		}, "does not know it"},
		{"an older Talos does not know a type", func(_ *world, n []*fakeNode) { n[1].unknown = network.AddressStatusType }, "this version of Talos does not know it"},
		{"a role that may not", func(_ *world, n []*fakeNode) { n[1].denied.Store(true) }, "not authorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			nodes := threeNodes(w)
			tt.arrange(w, nodes)
			c := w.client("10.5.0.2", cp2)
			c.cfg.Timeout = time.Minute // which a busy machine may take to read megabytes
			if strings.HasPrefix(tt.want, ": ") {
				c.cfg.Timeout = 4 * time.Second // it is silent, and waited for
			}
			begun := time.Now()
			snap, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
			if took := time.Since(begun); err != nil || took > 2*c.cfg.Timeout {
				t.Fatalf("Collect = %v after %v; want it within the timeout", err, took)
			}
			for _, name := range []string{"cp-1", "cp-3"} {
				if n := snap.Node(name); n == nil || !n.Addresses.Known() {
					t.Errorf("%s is not known: rows are %s", name, names(snap))
				}
			}
			n := snap.Node("cp-2")
			if n == nil {
				t.Fatalf("rows are %s; want cp-2 among them", names(snap))
			}
			if got := n.Addresses.Err(); got == "" || got == "not asked" || !strings.Contains(got, tt.want) || strings.Contains(got, "rpc error") {
				t.Errorf("cp-2 says %q; want %q in it and no noise", got, tt.want)
			}
		})
	}
}

// Whatever a node says, what was collected can be saved, and read again.
func TestImpossibleAnswersAreSaved(t *testing.T) {
	impossible := netip.PrefixFrom(netip.MustParseAddr("10.5.0.99"), 99)
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[0].bootTime.Store(1 << 62)
	nodes[1].bootTime.Store(1 << 63)
	nodes[1].clockAhead = math.MaxInt64
	status := addressStatus("10.5.0.99/32")
	status.TypedSpec().Address = impossible
	nodes[1].put(status)
	spec := network.NewAddressSpec(network.NamespaceName, "eth0/10.5.0.99")
	spec.TypedSpec().Address = impossible
	nodes[2].put(spec)
	snap, err := w.client("10.5.0.2").Collect(t.Context(), CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(snap)
	if err != nil {
		t.Fatal(err)
	}
	again, err := cluster.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	has := func(a cluster.Address) bool { return a.Prefix == netip.MustParsePrefix("10.5.0.99/32") }
	if a := again.Node("cp-2").Addresses; !slices.ContainsFunc(a.Value(), has) {
		t.Errorf("cp-2 has %v; want the address whose prefix cannot be, too", a.Value())
	}
	for _, name := range []string{"cp-1", "cp-2"} {
		if boot := again.Node(name).BootTime; boot.Known() {
			t.Errorf("%s booted at %v; want that this is not known", name, boot.Value())
		}
	}
}

// What takes two bytes of an answer takes hundreds here: many answers of nothing
// are refused before they are taken in.
func TestAnswersOfNothing(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	nodes[1].own = slices.Repeat([]*machineapi.EtcdMember{{}}, singleLimit/2)
	c := w.client("10.5.0.2")
	c.cfg.Timeout = time.Minute // which a busy machine may take to read megabytes
	collect := func() *cluster.Node {
		snap, err := c.Collect(t.Context(), CollectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return snap.Node("cp-2")
	}
	got, want := collect().Members.Err(), "the answer is larger than 512 KiB, and was not read"
	for range 4 { // it has slowLimit only, and a busy machine is slow to make such an answer
		if gaveUp(got, slowLimit) {
			got = collect().Members.Err()
		}
	}
	if got != want {
		t.Errorf("the members of cp-2 = %q; want %q", got, want)
	}
	nodes[1].own = nil
	for i := range answerLimit/leastOfList + 1 {
		nodes[1].put(network.NewAddressStatus(network.NamespaceName, strconv.Itoa(i)))
	}
	if got, want := collect().Addresses.Err(), "the answer is larger than 8 MiB, and was not read"; got != want {
		t.Errorf("the addresses of cp-2 = %q; want %q", got, want)
	}
}

// No text of a node is long, or of more than one line.
func TestTextsAreShort(t *testing.T) {
	long := "\x1b[2J\n" + strings.Repeat("x", 10*maxReason)
	w := newWorld(t)
	n := threeNodes(w)[1]
	n.members = []*machineapi.EtcdMember{{Id: 1, Hostname: long, PeerUrls: []string{long}, ClientUrls: []string{long}}}
	n.text = long
	link := network.NewLinkStatus(network.NamespaceName, long[:maxID])
	link.TypedSpec().Kind, link.TypedSpec().HardwareAddr = long, []byte(long)
	lifecycle := k8s.NewKubeletLifecycle(k8s.NamespaceName, k8s.KubeletLifecycleID)
	lifecycle.Metadata().Finalizers().Add(campaignFinalizer + long)
	address, spec := network.NewAddressStatus(network.NamespaceName, "a"), network.NewAddressSpec(network.NamespaceName, "a")
	address.TypedSpec().LinkName, spec.TypedSpec().LinkName = long, long
	for _, r := range []resource.Resource{link, lifecycle, address, spec} {
		n.put(r)
	}
	snap, err := w.client("10.5.0.3").Collect(t.Context(), CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node := snap.Node("cp-2")
	if v, l, c, s := node.Version.Value(), node.Links.Value(), node.Campaigns.Value(), node.Services.Value(); len(v.Tag) < maxReason || len(l) != 2 || len(c) != 1 || len(s) != 1 {
		t.Errorf("cp-2 has %d bytes of version, %d links, %d campaigns and %d services; want that each is kept", len(v.Tag), len(l), len(c), len(s))
	}
	data, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.SplitSeq(strings.ReplaceAll(string(data), `\\`, ""), `"`) {
		if len(text) > 2*maxReason || strings.Contains(text, `\n`) || strings.Contains(text, `\u001b`) {
			t.Errorf("cp-2 tells %d bytes: %.100q; want one line", len(text), text)
		}
	}
}

// A proxy that led to a stranger, and then takes a connection and says nothing, is
// not waited for when it is looked at who that was.
func TestSecondLookThroughAHungProxy(t *testing.T) {
	t.Parallel()
	other, err := secrets.NewBundle(secrets.NewClock(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const cp2 = "10.5.0.3"
	w := newWorld(t)
	threeNodes(w)
	w.replace(cp2, w.shows(other, tls.RequireAnyClientCert, x509.IPAddresses([]net.IP{net.ParseIP(cp2)})))
	c := w.client("10.5.0.2")
	c.cfg.Timeout = 3 * time.Second
	dials := atomic.Int32{}
	c.cfg.dialer = func(ctx context.Context, addr string) (net.Conn, error) {
		if addr == cp2+":50000" && dials.Add(1) > 1 {
			<-ctx.Done()
		}
		return w.dial(ctx, addr)
	}
	begun := time.Now()
	done := make(chan error, 1)
	go func() {
		_, err := c.Collect(t.Context(), CollectOptions{Facts: Ownership})
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil || dials.Load() < 2 {
			t.Errorf("Collect = %v after %v, and dialled %d times; want a second look", err, time.Since(begun), dials.Load())
		}
	case <-time.After(c.cfg.Timeout + 10*time.Second):
		t.Error("Collect does not end with its time")
	}
}

// distinct are so many texts.
func distinct(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.FormatInt(int64(i), 36)
	}
	return all
}

// A newer Talos says more than is known here, which does not matter.
func TestNewerTalos(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	for _, m := range nodes[0].members {
		m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 9000, protowire.BytesType), "news"))
	}
	snap, err := w.client("10.5.0.2").Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil || names(snap) != allThree || len(snap.Node("cp-1").Members.Value()) != 3 {
		t.Errorf("Collect = %s, %v; want %s", names(snap), err, allThree)
	}
}

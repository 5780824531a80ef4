package arp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// patient listens long enough for a machine whose processors are busy.
var patient = Options{Silence: 3 * time.Second, Linger: 200 * time.Millisecond}

// brisk is for what ought to stay silent.
var brisk = Options{Silence: 300 * time.Millisecond}

// whoHas asks from the host; the hardware addresses are sorted.
func (h *host) whoHas(opts Options, addr string) (hws []string, err error) {
	h.t.Helper()
	h.do(func() error {
		var replies []cluster.ARPReply
		replies, err = New(opts).WhoHas(h.t.Context(), netip.MustParseAddr(addr))
		for _, r := range replies {
			if r.AfterSeconds <= 0 || r.AfterSeconds > (opts.Silence+opts.Linger+time.Second).Seconds() {
				h.t.Errorf("%s answered after %v s; want a time within the window", r.HardwareAddr, r.AfterSeconds)
			}
			hws = append(hws, r.HardwareAddr)
		}
		return nil
	})
	slices.Sort(hws)
	return hws, err
}

func (h *host) neighbour(addr string) (n cluster.Neighbour, err error) {
	h.t.Helper()
	h.do(func() error {
		n, err = New(Options{}).Neighbour(netip.MustParseAddr(addr))
		return nil
	})
	return n, err
}

func macs(hosts ...*host) []string {
	var hws []string
	for _, h := range hosts {
		hws = append(hws, h.hw.String())
	}
	slices.Sort(hws)
	return hws
}

func TestWhoHasOnASegment(t *testing.T) {
	hosts := newSegment(t, 3)
	us, b, c := hosts[0], hosts[1], hosts[2]
	b.carry("eth0", "10.9.0.50/32", "fd00:9::50/128")
	for _, h := range []*host{b, c} {
		h.carry("eth0", "10.9.0.51/32", "fd00:9::51/128")
	}
	us.carry("eth0", "10.9.0.53/32", "fd00:9::53/128")

	tests := map[string]struct {
		opts  Options
		addrs []string
		want  []string
	}{
		"one machine has the address":   {patient, []string{"10.9.0.50", "fd00:9::50", "::ffff:10.9.0.50"}, macs(b)},
		"two machines have the address": {patient, []string{"10.9.0.51", "fd00:9::51"}, macs(b, c)},
		"no machine has the address":    {brisk, []string{"10.9.0.52", "fd00:9::52"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, addr := range tt.addrs {
				if got, err := us.whoHas(tt.opts, addr); err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("WhoHas(%s) = %v, %v; want %v", addr, got, err, tt.want)
				}
			}
		})
	}
	t.Run("this machine has the address", func(t *testing.T) {
		for _, addr := range []string{"10.9.0.53", "fd00:9::53"} {
			_, err := us.whoHas(brisk, addr)
			_, err2 := us.neighbour(addr)
			for _, err := range []error{err, err2} {
				if here, ok := errors.AsType[*HereError](err); !ok || here.Link != "eth0" {
					t.Errorf("asking for %s = %v; want a HereError of eth0", addr, err)
				}
			}
		}
	})
	t.Run("this machine tries for the address that another one has", func(t *testing.T) {
		us.tryFor("eth0", "fd00:9::51/128")
		if got, err := us.whoHas(patient, "fd00:9::51"); err != nil || !slices.Equal(got, macs(b, c)) {
			t.Errorf("WhoHas of an address that is only tried for = %v, %v; want %v", got, err, macs(b, c))
		}
	})
	t.Run("several questions at a time", func(t *testing.T) {
		var wg sync.WaitGroup
		for addr, want := range map[string][]string{"10.9.0.50": macs(b), "10.9.0.51": macs(b, c), "10.9.0.2": macs(b), "10.9.0.3": macs(c), "fd00:9::50": macs(b), "fd00:9::3": macs(c)} {
			wg.Go(func() {
				if got, err := us.whoHas(patient, addr); err != nil || !slices.Equal(got, want) {
					t.Errorf("WhoHas(%s) = %v, %v; want %v", addr, got, err, want)
				}
			})
		}
		wg.Wait()
	})
	t.Run("without the right", func(t *testing.T) { withoutTheRight(t, us) })
	t.Run("another VLAN's answer", func(t *testing.T) { anotherVLAN(t, us, b, c) })
	t.Run("the answer of a VLAN that this machine is in", func(t *testing.T) {
		us.joinVLAN(t, 7)
		anotherVLAN(t, us, b, c)
	})
}

// joinVLAN puts the host into a VLAN over eth0, beside the segment. Kernels
// without 802.1Q have none.
func (h *host) joinVLAN(t *testing.T, id int) {
	t.Helper()
	var err error
	h.do(func() error {
		eth0, missing := netlink.LinkByName("eth0")
		if missing != nil {
			return missing
		}
		vlan := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "vlan", ParentIndex: eth0.Attrs().Index}, VlanId: id}
		if err = netlink.LinkAdd(vlan); err == nil {
			err = netlink.LinkSetUp(vlan)
		}
		return nil
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("this kernel has no VLANs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.await("vlan", netlink.OperUp)
}

// withoutTheRight drops CAP_NET_RAW from the thread on which it asks.
func withoutTheRight(t *testing.T, us *host) {
	us.do(func() error {
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(&head, &caps[0]); err != nil {
			return err
		}
		caps[0].Effective &^= 1 << unix.CAP_NET_RAW
		if err := unix.Capset(&head, &caps[0]); err != nil {
			return err
		}
		client := New(Options{})
		for _, addr := range []string{"10.9.0.50", "fd00:9::50"} {
			_, err := client.WhoHas(t.Context(), netip.MustParseAddr(addr))
			if right, ok := errors.AsType[*CapabilityError](err); !ok || !strings.Contains(right.Hint(), "cap_net_raw") {
				t.Errorf("WhoHas(%s) without CAP_NET_RAW = %v; want a CapabilityError", addr, err)
			}
			if n, err := client.Neighbour(netip.MustParseAddr(addr)); err != nil || n.Link != "eth0" {
				t.Errorf("Neighbour(%s) without CAP_NET_RAW = %v, %v; want eth0's entry", addr, n, err)
			}
		}
		return nil
	})
}

// tryFor puts an IPv6 address on the host's link that it may use only once
// nobody else was found to have it.
func (h *host) tryFor(link, prefix string) {
	h.t.Helper()
	h.do(func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(l, a)
	})
}

// anotherVLAN has c send answers to us with a VLAN's tag while we ask for what
// b has. The kernel takes the tag off before we hear them.
func anotherVLAN(t *testing.T, us, b, c *host) {
	tagged := frame(arp.OperationReply, c.hw, netip.MustParseAddr("10.9.0.50"), us.hw, netip.MustParseAddr("10.9.0.1"),
		func(f *ethernet.Frame, _ *arp.Packet) { f.VLAN = &ethernet.VLAN{ID: 7} })
	var conn *packet.Conn
	c.do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
		return err
	})
	defer func() { _ = conn.Close() }()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				if _, err := conn.WriteTo(tagged, &packet.Addr{HardwareAddr: us.hw}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if got, err := us.whoHas(patient, "10.9.0.50"); err != nil || !slices.Equal(got, macs(b)) {
		t.Errorf("WhoHas beside a VLAN's answers = %v, %v; want %v only", got, err, macs(b))
	}
	close(stop)
	wg.Wait()
}

// sent counts the frames that the link has sent.
func (h *host) sent(link string) (n uint64) {
	h.do(func() error {
		l, err := netlink.LinkByName(link)
		if err == nil {
			n = l.Attrs().Statistics.TxPackets
		}
		return err
	})
	return n
}

// sendsFor asks for the address, and says whether frames were sent.
func (h *host) sendsFor(addr string) bool {
	before := h.sent("eth0") + h.sent("tun0")
	_, _ = h.whoHas(patient, addr)
	_, _ = h.neighbour(addr)
	return h.sent("eth0")+h.sent("tun0") != before
}

func TestWhoHasOffTheSegment(t *testing.T) {
	hosts := newSegment(t, 2)
	us, b := hosts[0], hosts[1]
	us.do(func() error { // a link without ARP, as a tunnel is, and one whose other end is down
		tunnel := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, PeerName: "far"}
		loose := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "loose"}, PeerName: "end"}
		far := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "far"}}
		return errors.Join(netlink.LinkAdd(tunnel), netlink.LinkSetARPOff(tunnel), netlink.LinkSetUp(tunnel), netlink.LinkSetUp(far),
			netlink.LinkAdd(loose), netlink.LinkSetUp(loose),
			netlink.RouteAdd(&netlink.Route{Dst: ipNet("192.0.2.0/24"), Type: unix.RTN_BLACKHOLE}))
	})
	us.await("loose", netlink.OperLowerLayerDown)
	us.carry("tun0", "10.8.0.1/24")
	us.carry("loose", "10.7.0.1/24")
	us.route("eth0", netlink.Route{Dst: ipNet("10.5.0.0/24"), Gw: net.ParseIP("10.9.0.2")})
	us.route("eth0", netlink.Route{Dst: ipNet("fd05::/64"), Gw: net.ParseIP("fd00:9::2")})
	us.route("eth0", netlink.Route{Dst: ipNet("198.51.100.7/32"), Scope: netlink.SCOPE_LINK})
	b.carry("eth0", "198.51.100.7/32")

	if got, err := us.whoHas(patient, "198.51.100.7"); err != nil || !slices.Equal(got, macs(b)) {
		t.Errorf("WhoHas of an address outside every subnet, with a route on the link = %v, %v; want %v", got, err, macs(b))
	}
	for addr, why := range map[string]string{
		"10.5.0.50":   "it is reached through 10.9.0.2",
		"fd05::50":    "it is reached through fd00:9::2",
		"10.8.0.50":   "it is reached over tun0, which has no hardware addresses",
		"10.7.0.50":   "it is reached over loose, which is down",
		"203.0.113.1": "no route leads there",
		"192.0.2.1":   "no route leads there",
		"fd06::1":     "no route leads there",
		"fe80::50":    "it is link-local, and does not say on which link",
	} {
		before := us.sent("eth0") + us.sent("tun0")
		want := fmt.Sprintf("%s is not on a segment of this machine (%s)", addr, why)
		if got, err := us.whoHas(patient, addr); err == nil || err.Error() != want {
			t.Errorf("WhoHas(%s) = %v, %v; want %s", addr, got, err, want)
		}
		if n, err := us.neighbour(addr); err == nil || err.Error() != want {
			t.Errorf("Neighbour(%s) = %v, %v; want %s", addr, n, err, want)
		}
		// The kernel sends a frame of its own now and then, but not every time.
		if after := us.sent("eth0") + us.sent("tun0"); after != before && !strings.Contains(addr, ":") && us.sendsFor(addr) && us.sendsFor(addr) {
			t.Errorf("asking for %s sent %d frames; want none", addr, after-before)
		}
	}
	us.route("eth0", netlink.Route{Dst: ipNet("0.0.0.0/0"), Scope: netlink.SCOPE_LINK})
	want := "203.0.113.1 is not on a segment of this machine (only the default route leads there, over eth0)"
	if got, err := us.whoHas(brisk, "203.0.113.1"); err == nil || err.Error() != want {
		t.Errorf("WhoHas(203.0.113.1) with a default route without a router = %v, %v; want %s", got, err, want)
	}
}

func TestNeighbourOnASegment(t *testing.T) {
	hosts := newSegment(t, 2)
	us, b := hosts[0], hosts[1]
	// talk sends a datagram, so that the kernel looks for its neighbour.
	talk := func(addr string) {
		us.do(func() error {
			conn, err := net.Dial("udp", net.JoinHostPort(addr, "9"))
			if err != nil {
				return err
			}
			_, err = conn.Write([]byte("?"))
			return errors.Join(err, conn.Close())
		})
	}
	for have, nobody := range map[string]string{"10.9.0.2": "10.9.0.99", "fd00:9::2": "fd00:9::99"} {
		if n, err := us.neighbour(have); err != nil || n != (cluster.Neighbour{Link: "eth0"}) {
			t.Errorf("Neighbour(%s) before talking to it = %+v, %v; want no entry", have, n, err)
		}
		talk(have)
		us.wantNeighbour(have, b.hw.String(), "reachable", "stale", "delay", "probe")
		talk(nobody)
		us.wantNeighbour(nobody, "", "incomplete", "failed")
	}
	us.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP("10.9.0.60"), HardwareAddr: cp1HW})
	})
	us.wantNeighbour("10.9.0.60", cp1HW.String(), "permanent")
	us.wantNeighbour("::ffff:10.9.0.60", cp1HW.String(), "permanent")

	us.do(func() error { // who has the address on another segment is somebody else
		other := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other"}, PeerName: "end"}
		return errors.Join(netlink.LinkAdd(other),
			netlink.NeighSet(&netlink.Neigh{LinkIndex: other.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP("10.9.0.61"), HardwareAddr: cp2HW}))
	})
	if n, err := us.neighbour("10.9.0.61"); err != nil || n != (cluster.Neighbour{Link: "eth0"}) {
		t.Errorf("Neighbour of what another link alone has an entry for = %+v, %v; want no entry", n, err)
	}
}

// wantNeighbour waits until the kernel's entry has the hardware address and one
// of the states.
func (h *host) wantNeighbour(addr, hw string, states ...string) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n, err := h.neighbour(addr)
		if err == nil && n.HardwareAddr == hw && slices.Contains(states, n.State) {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("Neighbour(%s) = %+v, %v; want %q, one of %v", addr, n, err, hw, states)
		}
	}
}

// A stale entry shows where this machine's frames go, until the kernel hears
// the true owner answer WhoHas.
func TestWhoHasMendsAStaleEntry(t *testing.T) {
	hosts := newSegment(t, 2)
	us, b := hosts[0], hosts[1]
	us.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_STALE, IP: net.ParseIP("10.9.0.2"), HardwareAddr: cp1HW})
	})
	us.wantNeighbour("10.9.0.2", cp1HW.String(), "stale")
	// The kernel does not change an entry within a second of its last change.
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if got, err := us.whoHas(patient, "10.9.0.2"); err != nil || !slices.Equal(got, macs(b)) {
			t.Fatalf("WhoHas = %v, %v; want %v", got, err, macs(b))
		}
		if n, err := us.neighbour("10.9.0.2"); err == nil && n.HardwareAddr == b.hw.String() {
			return
		}
	}
	t.Error("the stale entry has not changed after WhoHas; want the owner's hardware address")
}

func BenchmarkWhoHas(b *testing.B) {
	hosts := newSegment(b, 2)
	for name, addr := range map[string]string{"IPv4": "10.9.0.2", "IPv6": "fd00:9::2"} {
		b.Run(name, func(b *testing.B) {
			hosts[0].do(func() error {
				client, answer := New(Options{Linger: 1}), 0.0
				for b.Loop() {
					replies, err := client.WhoHas(b.Context(), netip.MustParseAddr(addr))
					if err != nil || len(replies) == 0 {
						return fmt.Errorf("WhoHas = %v, %w", replies, err)
					}
					answer += replies[0].AfterSeconds
				}
				b.ReportMetric(answer/float64(b.N)*1e6, "µs-to-answer/op")
				return nil
			})
		})
	}
}

func BenchmarkNeighbour(b *testing.B) {
	hosts := newSegment(b, 1)
	hosts[0].do(func() error {
		for b.Loop() {
			if _, err := New(Options{}).Neighbour(netip.MustParseAddr("10.9.0.2")); err != nil {
				return err
			}
		}
		return nil
	})
}

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/l2"
	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/operator"
)

// foreignName is the switch port of the foreign host, and foreignLink the
// supervisor's end of its cable.
const (
	foreignName = "foreign-host"
	foreignLink = "foreign"
)

// foreignMAC is the foreign host's hardware address: locally administered, and
// nobody else's in the lab, where they begin with 02.
func foreignMAC() net.HardwareAddr { return net.HardwareAddr{0x06, 0, 0, 0, 0, 0x66} }

// foreignHost is a host that was given the VIP's address by mistake. Nothing
// listens there: its kernel answers ARP, ping, and SYN with RST.
type foreignHost struct {
	ns   *netns.Namespace
	port *l2.Port
}

// invite puts the foreign host on the segment, or takes it away.
func (f *faults) invite(ctx context.Context, a ActiveFault, on bool) error {
	if !on {
		defer func() { f.foreign = nil }() // its namespace is gone, and what is left with it
		if f.foreign == nil {
			return nil // an undo before this one said that something was wrong
		}
		return f.foreign.leave()
	}
	vip, err := f.vip(a.Args[flagVIP])
	if err != nil {
		return err
	}
	f.foreign, err = newForeignHost(f.segments[f.spec.segmentOf(vip)])
	if err != nil {
		return err
	}
	err = f.foreign.ns.Do(func() error { return settle(ctx, vip, a.Args[flagAnnounce]) })
	if err != nil {
		err = errors.Join(err, f.foreign.leave())
		f.foreign = nil
	}
	return err
}

// newForeignHost makes a host without an address on a segment.
func newForeignHost(sw *l2.Switch) (*foreignHost, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, explain(err, sysctl)
	}
	h := &foreignHost{ns: ns}
	if err := netns.Plug(netns.Cable{Name: foreignLink, PeerNS: ns, Peer: nodeLink, PeerMAC: foreignMAC()}); err != nil {
		return nil, errors.Join(err, h.leave())
	}
	if h.port, err = sw.Attach(foreignName, foreignLink); err != nil {
		return nil, errors.Join(err, h.leave())
	}
	return h, nil
}

// leave ends the host.
func (h *foreignHost) leave() error {
	var errs []error
	if h.port != nil {
		errs = append(errs, h.port.Close())
	}
	return errors.Join(append(errs, netns.Unplug(foreignLink), h.ns.Close())...)
}

// settle gives this namespace's link the address in its network, so that it
// knows its way to whom it answers, and says so to the neighbours where it
// announces. It returns when the link passes frames.
func settle(ctx context.Context, vip netip.Addr, announce string) error {
	if err := netns.SetUp(nodeLink); err != nil {
		return err
	}
	if err := awaitCarrier(ctx); err != nil {
		return err
	}
	loud, _ := strconv.ParseBool(announce)
	switch {
	case vip.Is6() && loud:
		return usagef("--announce is for IPv4: a gratuitous ARP cannot be about %s", vip)
	case vip.Is6():
		// It does not look whether another has the address: it would find the
		// owner, and keep silent.
		return netns.Configure(nodeLink, netip.PrefixFrom(vip, NetworkIPv6.Bits()))
	}
	kernel := operator.NewKernel(nodeLink)
	if err := kernel.AddAddress(netip.PrefixFrom(vip, Network.Bits())); err != nil {
		return fmt.Errorf("giving the foreign host %s: %w", vip, err)
	}
	if loud {
		return kernel.Announce(vip)
	}
	return nil
}

// awaitCarrier waits until the kernel lets frames out of the link, which takes
// it up to a second after it is up.
func awaitCarrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	for {
		link, err := net.InterfaceByName(nodeLink)
		if err != nil {
			return err
		}
		if link.Flags&net.FlagRunning != 0 {
			return nil
		}
		if !sleep(ctx, time.Millisecond) {
			return errors.New("the link of the foreign host gets no carrier")
		}
	}
}

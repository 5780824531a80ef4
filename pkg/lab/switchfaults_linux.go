package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/l2"
)

// hosts are the names of all that may be parted: the nodes and the workstation.
func (f *faults) hosts() []string {
	return append(slices.Sorted(maps.Keys(f.machines)), workstationName)
}

// oneWay is one direction between two hosts.
type oneWay struct{ from, to string }

// part drops the frames between a node and others, or lets those pass again
// that no other partition drops.
//
// Frames pass at once after that, but a VIP whose nodes were all apart for
// longer than a lease comes back later: etcd's members find each other in
// their own time (measured: 2.7 s after 25 s apart, 9.6 s after 45 s), and
// then the queue is headed by candidates of before, whose leases the new etcd
// leader has just given their whole time again (lessor.Promote in etcd
// v3.6.12). With a lease of 5 s that was 6 s more; with Talos's it is 60 s.
func (f *faults) part(_ context.Context, a ActiveFault, on bool) error {
	ways, err := parted(a, f.hosts())
	if err != nil {
		return err
	}
	if err := f.adjacent(a); err != nil {
		return err
	}
	drop := allParted(f.after(a, on), f.hosts())
	for _, sw := range f.segments {
		for _, w := range ways {
			if drop[w] {
				sw.Part(w.from, w.to)
			} else {
				sw.Heal(w.from, w.to)
			}
		}
	}
	return nil
}

// adjacent refuses to part a node from a host by name that shares no segment
// with it.
func (f *faults) adjacent(a ActiveFault) error {
	if a.Args[FlagFrom] == "" {
		return nil
	}
	for h := range strings.SplitSeq(a.Args[FlagFrom], ",") {
		if h != foreignName && !f.spec.adjacent(a.Node, h) {
			return withHint(fmt.Errorf("%s and %s share no segment", a.Node, h), "what lies between them is the %s", workstationName)
		}
	}
	return nil
}

// allParted returns what the partitions among the faults drop together.
func allParted(active []ActiveFault, hosts []string) map[oneWay]bool {
	drop := make(map[oneWay]bool)
	for _, a := range active {
		if a.Fault != faultPartition {
			continue
		}
		ways, _ := parted(a, hosts) // they were good when it was injected
		for _, w := range ways {
			drop[w] = true
		}
	}
	return drop
}

// parted returns what a partition drops. One from all is also one from a
// foreign host, whenever it comes.
func parted(a ActiveFault, hosts []string) (ways []oneWay, err error) {
	others := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == a.Node })
	chosen := append(slices.Clone(others), foreignName)
	if list := a.Args[FlagFrom]; list != "" {
		chosen = strings.Split(list, ",")
	}
	for _, h := range chosen {
		if h != foreignName && !slices.Contains(others, h) {
			return nil, withHint(usagef("there is no other host %q", h), "hosts are %s", strings.Join(others, ", "))
		}
		for _, way := range a.ways() {
			if way == l2.In {
				ways = append(ways, oneWay{h, a.Node})
			} else {
				ways = append(ways, oneWay{a.Node, h})
			}
		}
	}
	return ways, nil
}

// ways are the directions of the node's frames that the fault is about.
func (a ActiveFault) ways() []l2.Way {
	switch a.Args[flagDirection] {
	case "in":
		return []l2.Way{l2.In}
	case "out":
		return []l2.Way{l2.Out}
	default:
		return []l2.Way{l2.In, l2.Out}
	}
}

// unplug pulls the node's cables out, or puts them in again: those that it
// has, for each is written down.
func (f *faults) unplug(_ context.Context, a ActiveFault, on bool) error {
	var errs []error
	for _, l := range f.machines[a.Node].place.Links {
		sw := f.segments[l.Segment]
		if on {
			errs = append(errs, sw.Unplug(a.Node))
			sw.Forget(a.Node)
		} else {
			errs = append(errs, sw.Plug(a.Node))
		}
	}
	return errors.Join(errs...)
}

// impair makes the node's cable as good or bad as its faults say.
func (f *faults) impair(_ context.Context, a ActiveFault, on bool) error {
	after := f.after(a, on)
	for _, way := range []l2.Way{l2.In, l2.Out} {
		i, err := impairment(after, a.Node, way)
		if err != nil {
			return err
		}
		i.Seed = uint64(f.spec.Seed)
		for _, sw := range f.segments {
			sw.Impair(a.Node, way, i)
		}
	}
	return nil
}

// impairment is what the faults are, together, to one way of the node's cable.
func impairment(active []ActiveFault, node string, way l2.Way) (i l2.Impairment, err error) {
	for _, a := range active {
		if a.Node != node || !slices.Contains(a.ways(), way) {
			continue
		}
		switch a.Fault {
		case faultDelay:
			var bad error
			i.Delay, err = time.ParseDuration(cmp.Or(a.Args[flagDelay], defaultDelay))
			i.Jitter, bad = time.ParseDuration(cmp.Or(a.Args[flagJitter], "0s"))
			err = errors.Join(err, bad)
		case faultLoss:
			i.Loss, err = strconv.ParseFloat(cmp.Or(a.Args[flagPercent], defaultPercent), 64)
			i.Loss /= 100
		}
		if err != nil {
			return i, err
		}
	}
	return i, nil
}

// loseAnnouncements swallows the gratuitous ARPs of a node, or of every one: a
// fault of its own of the switch, so that one may be undone without the other.
func (f *faults) loseAnnouncements(_ context.Context, a ActiveFault, on bool) error {
	lost, err := f.vipsOf(a, on)
	if err != nil {
		return err
	}
	for _, sw := range f.segments {
		sw.LoseAnnouncements(a.Node, lost...) // no node is the switch's name for all
	}
	return nil
}

// secure drops the frames that the node sends from VIPs.
func (f *faults) secure(_ context.Context, a ActiveFault, on bool) error {
	refused, err := f.vipsOf(a, on)
	if err != nil {
		return err
	}
	for _, sw := range f.segments {
		sw.Refuse(a.Node, refused...)
	}
	return nil
}

// vipsOf returns the VIPs that a fault is about: all, the one that it names, or
// none any more when it is undone.
func (f *faults) vipsOf(a ActiveFault, on bool) ([]netip.Addr, error) {
	name := a.Args[flagVIP]
	switch {
	case !on:
		return nil, nil
	case name == "":
		return f.spec.VIPs, nil
	}
	vip, err := f.vip(name)
	return []netip.Addr{vip}, err
}

// vip returns the lab's VIP that is named, or the first.
func (f *faults) vip(name string) (netip.Addr, error) {
	if name == "" {
		return f.spec.VIPs[0], nil
	}
	vip, err := netip.ParseAddr(name)
	if err != nil || !slices.Contains(f.spec.VIPs, vip) {
		return vip, withHint(usagef("%s is not a VIP of this lab", name), "VIPs are %s", fmt.Sprint(f.spec.VIPs))
	}
	return vip, nil
}

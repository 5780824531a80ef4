package talos

import (
	"strings"
	"testing"
	"time"

	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	clusterres "github.com/siderolabs/talos/pkg/machinery/resources/cluster"
)

// latePace is that every node answers what ends so 50 ms after all else.
func latePace(suffix string) func(addr, what string) time.Duration {
	return func(_, what string) time.Duration {
		if strings.HasSuffix(what, suffix) {
			return 50 * time.Millisecond
		}
		return 0
	}
}

// unhurried is patience for answers that are all on their way, on a machine
// however busy.
const unhurried = 10 * time.Second

// eitherWay collects with etcd's members late, and with discovery late.
func eitherWay(t *testing.T, arrange func(*world, []*fakeNode), want string, endpoints ...string) {
	t.Helper()
	for _, late := range []string{"/EtcdMemberList", clusterres.MemberType} {
		for _, facts := range []Facts{Ownership, Everything} {
			w := newWorld(t)
			arrange(w, threeNodes(w))
			w.setPace(latePace(late))
			snap, err := w.client(endpoints...).Collect(t.Context(), CollectOptions{Facts: facts, patience: unhurried})
			if err != nil || names(snap) != want {
				t.Errorf("where %s is late, Collect of facts %b = %s, %v; want %s", late, facts, names(snap), err, want)
			}
		}
	}
}

// withDomains lets all discover each other as Talos does where there is a domain.
func withDomains(nodes []*fakeNode) {
	for _, to := range nodes {
		for _, of := range nodes {
			to.discovers(of.name+".example.com", machinetype.TypeControlPlane, of.addr)
		}
	}
}

// A silent node goes by its own name, whoever names it first.
func TestNameOfASilentNode(t *testing.T) {
	eitherWay(t, func(w *world, n []*fakeNode) {
		withDomains(n)
		w.remove("10.5.0.4")
	}, "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.4", "10.5.0.2", "10.5.0.3")
}

// A machine is asked at the address that etcd has for it, also where discovery
// has another before that and tells of it sooner.
func TestAddressOfAMachineWithTwo(t *testing.T) {
	eitherWay(t, twoHomed, allThree, "10.5.0.2", "10.5.0.3")
}

// A machine is asked at the endpoint that is any of its addresses, and there only,
// also where discovery, which knows them all, is late.
func TestEndpointThatIsAnotherAddress(t *testing.T) {
	eitherWay(t, func(w *world, n []*fakeNode) {
		twoHomed(w, n)
		w.remove("10.5.0.104")
	}, "cp-1@10.5.0.2, cp-2@10.5.0.3, !cp-3@10.5.0.104", "10.5.0.104", "10.5.0.3")
}

// The one node that was asked for etcd's members lists them in the snapshot, also
// where it was asked at the VIP.
func TestMembersToldAtTheVIP(t *testing.T) {
	w := newWorld(t)
	nodes := threeNodes(w)
	discoverAll(nodes)
	w.setPace(func(addr, what string) time.Duration {
		for addr != "10.5.0.50:50000" && what == "dial" && nodes[0].memberLists.Load() == 0 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond) // until the one at the VIP was asked
		}
		return 0
	})
	snap, err := w.client("10.5.0.50", "10.5.0.3").Collect(t.Context(), CollectOptions{Facts: Ownership, patience: unhurried})
	if err != nil || names(snap) != allThree {
		t.Fatalf("Collect = %s, %v; want %s", names(snap), err, allThree)
	}
	if got := snap.Node("cp-1").Members.Value(); len(got) != 3 || nodes[1].memberLists.Load()+nodes[2].memberLists.Load() > 0 {
		t.Errorf("cp-1 lists the members %v, and others were asked %d times; want 3 members of cp-1 alone", got, nodes[1].memberLists.Load()+nodes[2].memberLists.Load())
	}
}

// Where the one node that is known hangs over discovery, those that its etcd lists
// are asked all the same.
func TestDiscoveryThatHangs(t *testing.T) {
	t.Parallel()
	for _, facts := range []Facts{Ownership, Everything} {
		w := newWorld(t)
		threeNodes(w)
		w.setPace(func(addr, what string) time.Duration {
			if addr == "10.5.0.2" && what == clusterres.MemberType {
				return time.Minute
			}
			return 0
		})
		c := w.client("10.5.0.2")
		c.cfg.Timeout = 4 * time.Second
		snap, err := c.Collect(t.Context(), CollectOptions{Facts: facts})
		if err != nil || names(snap) != allThree {
			t.Errorf("Collect of facts %b = %s, %v; want %s", facts, names(snap), err, allThree)
		}
	}
}

// twoHomed gives cp-3 a second address, which discovery has before its first.
func twoHomed(w *world, nodes []*fakeNode) {
	nodes[2].carry("10.5.0.104/24")
	w.alias("10.5.0.104:50000", "10.5.0.4:50000")
	w.nodes["10.5.0.104"] = nodes[2]
	for _, n := range nodes {
		discoverTo(nodes[:2], []*fakeNode{n})
		n.discovers("cp-3", machinetype.TypeControlPlane, "10.5.0.104", "10.5.0.4")
	}
}

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/mdlayher/arp"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// askedARP is how many questions runARP asks.
const askedARP = 20

// runARP asks on the workstation's link who has the address, and prints, for
// each answer, by whom it is and how long after its question it came.
func runARP(addr string) int {
	link, err := net.InterfaceByName(nodeLink)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c, err := arp.Dial(link)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ip := netip.MustParseAddr(addr)
	for range askedARP {
		asked := time.Now()
		if err := c.Request(ip); err != nil {
			fmt.Println(err)
			return 1
		}
		patience := asked.Add(50 * time.Millisecond)
		_ = c.SetReadDeadline(patience)
		for {
			p, _, err := c.Read()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				fmt.Println(err)
				return 1
			}
			if p.Operation == arp.OperationReply && p.SenderIP == ip {
				fmt.Println(p.SenderHardwareAddr, time.Since(asked))
				// A second one that answers does so at once, too.
				if soon := time.Now().Add(5 * time.Millisecond); soon.Before(patience) {
					_ = c.SetReadDeadline(soon)
				}
			}
		}
	}
	return 0
}

// answers are what ARP questions for an address got, by hardware address.
type answers map[string][]time.Duration

// total is how many came.
func (a answers) total() (n int) {
	for _, took := range a {
		n += len(took)
	}
	return n
}

// quickest is how long the quickest took; an hour where none came.
func (a answers) quickest() time.Duration {
	best := time.Hour
	for _, took := range a {
		best = min(best, slices.Min(took))
	}
	return best
}

// whoHas asks from the workstation by ARP.
func (r reach) whoHas(addr string) answers {
	r.t.Helper()
	out, code, err := runIn(r.t.Context(), r.t, r.lab, nil, "vipctl", "test-arp", addr)
	if err != nil || code != 0 {
		r.t.Fatalf("asking who has %s = %q, %d, %v", addr, out, code, err)
	}
	all := make(answers)
	for line := range strings.Lines(out) {
		mac, after, _ := strings.Cut(strings.TrimSpace(line), " ")
		took, err := time.ParseDuration(after)
		if err != nil {
			r.t.Fatalf("asking who has %s = %q", addr, out)
		}
		all[mac] = append(all[mac], took)
	}
	return all
}

// neighbour is the hardware address that the workstation's kernel knows for
// the address, "" if none.
func (r reach) neighbour(addr string) string {
	for line := range strings.Lines(string(r.file("/proc/net/arp"))) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == addr {
			return f[3]
		}
	}
	return ""
}

// connects says whether the workstation gets a TCP connection.
func (r reach) connects(addr string) bool {
	_, code, err := runIn(r.t.Context(), r.t, r.lab, nil, "bash", "-c", "timeout 1 bash -c '</dev/tcp/"+addr+"/6443'")
	return err == nil && code == 0
}

func longLease(s *Spec) { s.LeaseTTL = time.Minute }

// roles are the names of a lab's VIP owner and of the others.
func roles(t *testing.T, l *Lab) (owner string, others []string) {
	t.Helper()
	st, _ := status(t, l, "")
	if len(st.VIPs[0].Holders) != 1 {
		t.Fatalf("holders of the VIP = %v; want one", st.VIPs[0].Holders)
	}
	owner = st.VIPs[0].Holders[0]
	for _, n := range st.Nodes {
		if n.Name != owner {
			others = append(others, n.Name)
		}
	}
	return owner, others
}

func addressOf(t *testing.T, l *Lab, name string) string {
	t.Helper()
	_, n := status(t, l, name)
	return n.Address
}

func TestFaultsOfTheSwitch(t *testing.T) {
	l := start(t, longLease)
	r := reach{t, l}
	_, others := roles(t, l)
	name, other := others[0], others[1]
	addr, vip := addressOf(t, l, name), DefaultVIP.String()
	silent := func() bool { return !r.connects(addr) }
	for what, row := range map[string]struct {
		fault string
		node  string
		args  map[string]string
		seen  func() bool
	}{
		"parted from all":        {"partition", name, nil, silent},
		"deaf":                   {"partition", name, map[string]string{"direction": "in"}, silent},
		"mute":                   {"partition", name, map[string]string{"direction": "out"}, silent},
		"mute to one":            {"partition", name, map[string]string{"direction": "out", "from": workstationName}, silent},
		"unplugged":              {"link-down", name, nil, silent},
		"late":                   {"delay", name, map[string]string{"delay": "15ms", "jitter": "2ms"}, func() bool { return r.whoHas(addr).quickest() >= 30*time.Millisecond }},
		"late one way":           {"delay", name, map[string]string{"delay": "30ms", "direction": "out"}, func() bool { return r.whoHas(addr).quickest() >= 30*time.Millisecond }},
		"losing half":            {"loss", name, map[string]string{"percent": "50", "direction": "in"}, func() bool { n := r.whoHas(addr).total(); return n > 2 && n < askedARP-2 }},
		"losing all":             {"loss", name, map[string]string{"percent": "100"}, func() bool { return r.whoHas(addr).total() == 0 }},
		"a foreign host answers": {"foreign-host", "", nil, func() bool { return len(r.whoHas(vip)) == 2 }},
		"a foreign host announces": {"foreign-host", "", map[string]string{"announce": "true", "vip": vip}, func() bool {
			return r.neighbour(vip) == foreignMAC().String() && !r.connects(vip)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			r.t = t
			eventually(t, "the VIP and the node answer", func() bool {
				return r.connects(vip) && r.connects(addr)
			})
			eventually(t, what+" is not seen before it is injected", func() bool { return !row.seen() }) // a busy machine is late itself, now and then
			req := FaultRequest{Fault: row.fault, Node: row.node, Args: row.args}
			if err := l.Inject(t.Context(), req); err != nil {
				t.Fatalf("Inject(%v) = %v", req, err)
			}
			eventually(t, what+" is seen", row.seen)
			if !r.connects(addressOf(t, l, other)) {
				t.Errorf("%s does not answer; want it left alone", other)
			}
			if err := l.Inject(t.Context(), req); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("Inject(%v) twice = %v; want that it is injected already", req, err)
			}
			wantListed(t, l, ActiveFault{Fault: row.fault, Node: row.node, Args: row.args})
			if err := l.Undo(t.Context(), FaultRequest{Fault: row.fault}); err != nil {
				t.Fatalf("Undo(%s) = %v", row.fault, err)
			}
			eventually(t, what+" is not seen any more", func() bool { return !row.seen() && r.connects(addr) && r.connects(vip) })
			wantListed(t, l)
		})
	}
}

// wantListed wants these faults to be active, and to be shown by the status.
func wantListed(t *testing.T, l *Lab, want ...ActiveFault) {
	t.Helper()
	got, err := l.Faults(t.Context())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Faults() = %v, %v; want %v", got, err, want)
	}
	st, _ := status(t, l, "")
	shown := slices.Clone(st.Faults)
	for _, n := range st.Nodes {
		shown = append(shown, n.Faults...)
	}
	var texts []string
	for _, a := range want {
		texts = append(texts, a.String())
	}
	if !slices.Equal(shown, texts) {
		t.Errorf("faults of the status = %v; want %v", shown, texts)
	}
}

// The node sees an unplugged cable as a link that goes down, and up again;
// frames that are only dropped it does not see.
func TestLinkDownIsSeenByTheNode(t *testing.T) {
	l := start(t, longLease)
	r := reach{t, l}
	_, others := roles(t, l)
	name := others[0]
	addr := addressOf(t, l, name)
	link := func() *network.LinkStatus {
		c := r.talos(addr, "reader")
		got, err := safe.StateGetByID[*network.LinkStatus](t.Context(), c.COSI, nodeLink)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, row := range []struct {
		fault   string
		changes bool
	}{{"partition", false}, {"link-down", true}} {
		before := link()
		for _, step := range []func() error{
			func() error { return l.Inject(t.Context(), FaultRequest{Fault: row.fault, Node: name}) },
			func() error { return l.Undo(t.Context(), FaultRequest{Fault: row.fault, Node: name}) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
			wantReach := slices.ContainsFunc(events(t, l), func(e truth.Event) bool {
				return e.Node == name && e.Kind == truth.FaultUndone && e.Detail == row.fault
			})
			eventually(t, "the node answers only without "+row.fault, func() bool { return r.connects(addr) == wantReach })
		}
		after := link()
		if got := after.Metadata().Version().Value() >= before.Metadata().Version().Value()+2; got != row.changes {
			t.Errorf("%s: the link's status went from version %v to %v; want a change twice: %v", row.fault, before.Metadata().Version(), after.Metadata().Version(), row.changes)
		}
		if got := after.TypedSpec().OperationalState.String(); got != "up" {
			t.Errorf("%s undone: the link is %s; want up", row.fault, got)
		}
	}
}

// Who lost the gratuitous ARP goes on to send to the former owner. That one
// forwards, as Talos's nodes do, and so here it is deaf to the workstation for a
// while: else the VIP may answer by a detour, or at once, for an heir that asks
// for the workstation's hardware address tells its own.
func TestLoseGARP(t *testing.T) {
	l := start(t, longLease)
	r := reach{t, l}
	vip := DefaultVIP.String()
	// move lets the VIP move on, and returns from whom to whom and since when. Who
	// the heir is cannot be told before.
	move := func(loseOf ...string) (owner, heir string, since time.Duration) {
		for _, node := range loseOf {
			if err := l.Inject(t.Context(), FaultRequest{Fault: "lose-garp", Node: node, Args: map[string]string{"vip": vip}}); err != nil {
				t.Fatal(err)
			}
		}
		owner, others := roles(t, l)
		since = truth.Now()
		if _, err := r.talos(addressOf(t, l, owner), "admin").ServiceRestart(t.Context(), "kubelet"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "an heir has announced the VIP", func() bool {
			for _, heir = range others {
				if last(events(t, l), heir, truth.ARPSent) > since {
					return true
				}
			}
			return false
		})
		return owner, heir, since
	}
	eventually(t, "the VIP answers", func() bool { return r.connects(vip) })
	for what, of := range map[string][]string{"of every node": {""}, "of each node": {"cp-1", "cp-2", "cp-3"}} {
		before := r.neighbour(vip)
		former, heir, since := move(of...)
		deaf := FaultRequest{Fault: "partition", Node: former, Args: map[string]string{"from": workstationName, "direction": "in"}}
		if err := l.Inject(t.Context(), deaf); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the switch has swallowed it", func() bool { return last(events(t, l), heir, truth.ARPLost) > since })
		if got := r.neighbour(vip); got != before || r.connects(vip) {
			t.Errorf("%s: the workstation's neighbour for the VIP = %s, or the VIP answers; want the old owner's %s and silence", what, got, before)
		}
		if err := l.Undo(t.Context(), FaultRequest{All: true}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the VIP answers by way of the former owner, or because the heir has asked", func() bool { return r.connects(vip) })
		_, heir, since = move()
		eventually(t, "the workstation knows the new owner", func() bool { return r.neighbour(vip) != "" && r.connects(vip) })
		if last(events(t, l), heir, truth.ARPLost) > since {
			t.Errorf("%s: the announcement was swallowed after the undo", what)
		}
	}
}

func TestUndo(t *testing.T) {
	l := start(t, longLease)
	owner, others := roles(t, l)
	inject := func(fault, node string) {
		t.Helper()
		if err := l.Inject(t.Context(), FaultRequest{Fault: fault, Node: node}); err != nil {
			t.Fatalf("Inject(%s, %s) = %v", fault, node, err)
		}
	}
	inject("api-hang", Owner)
	inject("api-hang", others[0])
	inject("api-hang", others[1])
	if err := l.Undo(t.Context(), FaultRequest{Fault: "api-hang"}); err == nil || hintOf(err) == "" {
		t.Errorf("Undo(api-hang) on three nodes = %v; want an error with a hint", err)
	}
	if err := l.Undo(t.Context(), FaultRequest{Fault: "api-hang", Node: Owner}); err != nil {
		t.Errorf("Undo(api-hang, owner) = %v; want nil", err)
	}
	if err := l.Undo(t.Context(), FaultRequest{Fault: "api-hang", Node: Owner}); err == nil {
		t.Error("Undo(api-hang, owner) twice = nil; want an error")
	}
	wantListed(t, l, ActiveFault{Fault: "api-hang", Node: others[0]}, ActiveFault{Fault: "api-hang", Node: others[1]})

	// The frozen node could not obey, but for the order of undoing.
	inject("freeze", others[1])
	inject("lose-garp", "")
	inject("lose-garp", others[0])
	inject("foreign-host", "")
	if err := l.Undo(t.Context(), FaultRequest{All: true}); err != nil {
		t.Errorf("Undo(all) = %v; want nil", err)
	}
	wantListed(t, l)
	if err := l.Undo(t.Context(), FaultRequest{All: true}); err != nil {
		t.Errorf("Undo(all) of none = %v; want nil", err)
	}
	count := make(map[truth.Kind]int)
	for _, e := range events(t, l) {
		count[e.Kind]++
	}
	if count[truth.FaultInjected] != 7 || count[truth.FaultUndone] != 7 {
		t.Errorf("%d faults recorded as injected, %d as undone; want 7 each", count[truth.FaultInjected], count[truth.FaultUndone])
	}
	for _, node := range []string{owner, "cp-9"} {
		err := l.Undo(t.Context(), FaultRequest{Fault: "freeze", Node: node})
		if _, usage := errors.AsType[*UsageError](err); err == nil || usage != (node == "cp-9") {
			t.Errorf("Undo(freeze, %s) = %v (usage: %v); want an error, of usage only for an unknown node", node, err, usage)
		}
	}
}

// A fault that is younger than the news of a power-on is not forgotten with
// it, and one of the switch outlives its node's reboot.
func TestFaultsThatStay(t *testing.T) {
	l := start(t)
	_, others := roles(t, l)
	name := others[0]
	for _, f := range []string{"delay", "api-hang"} {
		if err := l.Inject(t.Context(), FaultRequest{Fault: f, Node: name}); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 { // each power-on is news that may come late
		if err := l.Inject(t.Context(), FaultRequest{Fault: "power-off", Node: name}); err != nil {
			t.Fatal(err)
		}
		wantListed(t, l, ActiveFault{Fault: "delay", Node: name}, ActiveFault{Fault: "power-off", Node: name})
		if err := l.Undo(t.Context(), FaultRequest{Fault: "power-off"}); err != nil {
			t.Fatal(err)
		}
	}
	wantListed(t, l, ActiveFault{Fault: "delay", Node: name})
}

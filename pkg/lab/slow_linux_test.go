//go:build slow

package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// The slow suite measures failovers with Talos's own lease:
//
//	go test -tags slow -run Slow -timeout 60m ./pkg/lab/
//
// The environment changes it: how many rounds of each kind, how many labs side
// by side, and the lease.
const (
	envRounds = "VIPCTL_SLOW_ROUNDS" // 10
	envLabs   = "VIPCTL_SLOW_LABS"   // 5
	envLease  = "VIPCTL_SLOW_LEASE"  // 60s
)

// scenario is how the owner is lost.
type scenario struct {
	fault   string // power-off or partition
	leads   bool   // the owner is etcd's leader
	expects func(lease time.Duration) (low, high time.Duration)
}

// What etcd's rules allow (v3.6.12). A lease is kept alive every third of it,
// looked at by its client every half second, and revoked within half a second
// of its end. A new leader gives every lease its whole time and an election
// timeout of 1 s; its election takes up to 2 s, and may have to be repeated.
func ownerFollows(lease time.Duration) (low, high time.Duration) {
	return lease*2/3 - 600*time.Millisecond, lease + time.Second
}

func ownerLeads(lease time.Duration) (low, high time.Duration) {
	return lease + time.Second, lease + 4*time.Second
}

var scenarios = []scenario{
	{"power-off", false, ownerFollows},
	{"power-off", true, ownerLeads},
	{"partition", false, ownerFollows},
	{"partition", true, ownerLeads},
}

func (s scenario) String() string {
	role := map[bool]string{true: "leader", false: "follower"}[s.leads]
	return fmt.Sprintf("%s, owner is etcd %s", s.fault, role)
}

// loss is a round's result.
type loss struct {
	outage  time.Duration // from the cut to the next owner's first answer
	prober  time.Duration // the same, as seen at an interval of 100 ms
	both    time.Duration // how long two nodes held the address; below 0 how long none did
	renewed time.Duration // how long before the cut the lease was last kept alive
	expired time.Duration // how long after its last keep-alive the lease expired
	// rearmed is how long after its first one etcd elected a leader again, who
	// gave the lease its full time once more: a busy machine's doing.
	rearmed time.Duration
}

func TestSlowFailover(t *testing.T) {
	rounds, labs := number(t, envRounds, 10), number(t, envLabs, 5)
	lease := 60 * time.Second
	if s := os.Getenv(envLease); s != "" {
		var err error
		if lease, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	todo := make(chan int, rounds*len(scenarios))
	for i := range cap(todo) {
		todo <- i % len(scenarios)
	}
	close(todo)
	var mu sync.Mutex // guards results
	results := make([][]loss, len(scenarios))
	var wg sync.WaitGroup
	for i := range labs { // not t.Parallel, which runs no more tests than there are CPUs
		wg.Go(func() {
			t.Run(strconv.Itoa(i+1), func(t *testing.T) {
				s := newSlowLab(t, lease)
				for n := range todo {
					t.Run(scenarios[n].String(), func(t *testing.T) {
						r := s.round(t, scenarios[n])
						t.Logf("%v: %+v", scenarios[n], r)
						mu.Lock()
						defer mu.Unlock()
						results[n] = append(results[n], r)
					})
				}
			})
		})
	}
	wg.Wait()
	fmt.Print(summary(lease, results))
	for i, s := range scenarios {
		judgeLosses(t, s, lease, rounds, results[i])
	}
}

func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number of them", env, s)
	}
	return n
}

// judgeLosses holds the results of a scenario to the rules.
func judgeLosses(t *testing.T, s scenario, lease time.Duration, rounds int, all []loss) {
	t.Helper()
	if len(all) != rounds {
		t.Errorf("%v: %d rounds were measured; want %d", s, len(all), rounds)
	}
	low, high := s.expects(lease)
	for _, r := range all {
		if once := r.outage - r.rearmed; once < low || once > high {
			t.Errorf("%v: outage %v, %v of it after another election; want %v to %v", s, r.outage, r.rearmed, low, high)
		}
		if !s.leads && (r.expired < lease-100*time.Millisecond || r.expired > lease+time.Second) {
			t.Errorf("%v: the lease expired %v after its last keep-alive; want %v and up to a second more", s, r.expired, lease)
		}
		if off := (r.prober - r.outage).Abs(); off > 400*time.Millisecond {
			t.Errorf("%v: the prober saw %v, the truth is %v", s, r.prober, r.outage)
		}
		switch {
		case s.fault != "partition":
		case s.leads && r.both >= 0:
			t.Errorf("%v: two nodes held the address for %v; want none to have it for a while", s, r.both)
		case r.both > 2*time.Second:
			t.Errorf("%v: two nodes held the address for %v; want about a second at most", s, r.both)
		}
	}
}

// summary is the table of all results.
func summary(lease time.Duration, results [][]loss) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\nLease %v; seconds, as smallest / median / largest.\n\n", lease)
	fmt.Fprintln(&out, "| the owner is lost by | rounds | outage | expected | as a prober saw it | both held the address (below 0: nobody did) |")
	fmt.Fprintln(&out, "|---|---|---|---|---|---|")
	for i, s := range scenarios {
		low, high := s.expects(lease)
		both := "-"
		if s.fault == "partition" {
			both = spread(results[i], func(r loss) time.Duration { return r.both })
		}
		fmt.Fprintf(&out, "| %v | %d | %s | %.1f - %.1f | %s | %s |\n", s, len(results[i]),
			spread(results[i], func(r loss) time.Duration { return r.outage }), low.Seconds(), high.Seconds(),
			spread(results[i], func(r loss) time.Duration { return r.prober }), both)
	}
	return out.String()
}

func spread(all []loss, of func(loss) time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	var list []float64
	for _, r := range all {
		list = append(list, of(r).Seconds())
	}
	slices.Sort(list)
	n := len(list)
	return fmt.Sprintf("%.2f / %.2f / %.2f", list[0], (list[(n-1)/2]+list[n/2])/2, list[n-1])
}

// slowLab is a lab whose log is followed all the time.
type slowLab struct {
	*Lab
	lease time.Duration

	mu  sync.Mutex // guards all
	all []truth.Event
}

func newSlowLab(t *testing.T, lease time.Duration) *slowLab {
	s := &slowLab{lease: lease, Lab: startAlone(t, func(s *Spec) {
		s.LeaseTTL, s.TalosTiming, s.BootTime = lease, true, 3*time.Second
	})}
	go func() {
		_ = s.Events(t.Context(), true, func(e truth.Event) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, e)
			return nil
		})
	}()
	return s
}

// await waits until an event has come that is wanted, and returns the first.
func (s *slowLab) await(t *testing.T, what string, patience time.Duration, wanted func(truth.Event) bool) truth.Event {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		s.mu.Lock()
		i := slices.IndexFunc(s.all, wanted)
		var e truth.Event
		if i >= 0 {
			e = s.all[i]
		}
		s.mu.Unlock()
		if i >= 0 {
			return e
		}
		if time.Now().After(end) {
			t.Fatalf("after %v there is no event that %s", patience, what)
		}
	}
}

// round loses the owner once, and waits until it is a candidate again.
func (s *slowLab) round(t *testing.T, sc scenario) (r loss) {
	owner := s.arrange(t, sc.leads)
	ready := truth.Now()
	kept := func(e truth.Event) bool { return e.At > ready && e.Node == owner && e.Kind == truth.LeaseKeptAlive }
	s.await(t, "keeps the owner's lease alive", s.lease, kept)
	time.Sleep(rand.N(s.lease / 3)) // anywhere between two keep-alives
	if leader := s.leader(t); (leader == owner) != sc.leads {
		t.Fatalf("%s leads and %s is the owner: etcd has changed its leader by itself", leader, owner)
	}
	stop := probe(t, s.Lab, "10.5.0.50:6443", 100*time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	before := truth.Now()
	if err := s.Inject(t.Context(), FaultRequest{Fault: sc.fault, Node: owner}); err != nil {
		t.Fatal(err)
	}
	began := map[string]truth.Kind{"power-off": truth.LinkCut, "partition": truth.FaultInjected}[sc.fault]
	patience := s.lease + 30*time.Second
	cut := s.await(t, "cuts the owner off", patience, func(e truth.Event) bool { return e.At >= before && e.Node == owner && e.Kind == began })
	answered := s.await(t, "is another owner's answer", patience, func(e truth.Event) bool {
		return e.At > cut.At && e.Node != owner && e.Kind == truth.Answered
	})
	time.Sleep(500 * time.Millisecond)
	r.outage = answered.At - cut.At
	var err error
	if r.prober, err = gap(stop(), cut.At); err != nil {
		t.Error(err)
	}
	s.fill(t, &r, sc, owner, cut.At, answered)
	if err := s.Undo(t.Context(), FaultRequest{Fault: sc.fault, Node: owner}); err != nil {
		t.Fatal(err)
	}
	s.await(t, "puts the old owner into the queue again", patience, func(e truth.Event) bool {
		return e.At > answered.At && e.Kind == truth.KeyWritten && strings.HasSuffix(e.Detail, "("+owner+")")
	})
	return r
}

// fill completes a round's result from the log.
func (s *slowLab) fill(t *testing.T, r *loss, sc scenario, owner string, cut time.Duration, answered truth.Event) {
	t.Helper()
	if sc.fault == "partition" {
		removed := s.await(t, "takes the address from the old owner", s.lease+30*time.Second, func(e truth.Event) bool {
			return e.At > cut && e.Node == owner && e.Kind == truth.AddressRemoved
		})
		s.mu.Lock()
		r.both = removed.At - firstSince(s.all, cut, answered.Node, truth.AddressAdded)
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var elected []time.Duration
	for _, e := range s.all {
		if e.Kind == truth.LeaderElected && e.Node != owner && e.At > cut && e.At < answered.At {
			elected = append(elected, e.At)
		}
		if e.Kind == truth.LeaseKeptAlive && e.Node == owner && e.At < cut {
			r.renewed = cut - e.At
		}
		if e.Kind == truth.LeaseExpired && e.At > cut && r.expired == 0 {
			r.expired = e.At - cut + r.renewed
		}
	}
	if n := len(elected); n > 1 {
		r.rearmed = elected[n-1] - elected[0]
	}
}

// arrange makes the VIP's owner lead etcd, or follow, and returns it. A leader
// that forfeits cannot choose who follows it: where that does not do, the VIP
// moves on.
func (s *slowLab) arrange(t *testing.T, leads bool) (owner string) {
	t.Helper()
	for try := range 30 {
		owner = status1(t, s.Lab)
		leader := s.leader(t)
		if (leader == owner) == leads {
			return owner
		}
		r := reach{t, s.Lab}
		if try%4 == 3 {
			m := move{how: "kubelet restart", from: owner, began: truth.Now()}
			stop := probe(t, s.Lab, "10.5.0.50:6443", 100*time.Millisecond) // whom the new owner can answer
			orderMove(t, r, m)
			m.to = movedFrom(t, s.Lab, m)
			stop()
			awaitQueue(t, s.Lab, m)
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := r.talos(addrOf(leader), "admin").EtcdForfeitLeadership(ctx, &machineapi.EtcdForfeitLeadershipRequest{})
		cancel()
		if err != nil {
			t.Logf("%s forfeits etcd's leadership: %v", leader, err)
		}
	}
	t.Fatalf("in 30 tries etcd's leader did not become what was wanted (owner %s leads: %v)", owner, leads)
	return ""
}

// leader returns the node that leads etcd.
func (s *slowLab) leader(t *testing.T) (node string) {
	t.Helper()
	eventually(t, "one member says that it leads etcd", func() bool {
		for _, n := range []string{"cp-1", "cp-2", "cp-3"} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			st, err := reach{t, s.Lab}.talos(addrOf(n), "reader").EtcdStatus(ctx)
			cancel()
			if err != nil {
				continue
			}
			member := st.GetMessages()[0].GetMemberStatus()
			if member.GetLeader() == member.GetMemberId() {
				node = n
				return true
			}
		}
		return false
	})
	return node
}

package commands

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
	"github.com/vipctl/vipctl/pkg/vip"
)

// fakeNodes are nodes whose watches tell what a test makes them tell.
type fakeNodes struct {
	search chan struct{} // closed when a search may end

	mu      sync.Mutex // guards what follows
	found   string     // by every search, "" for nobody
	strange string     // a node that no watch finds, "" for none
	watches map[string]func(talos.AddressChange)
	vias    map[string]string // the endpoints of the watches
	begun   int               // watches
}

func (f *fakeNodes) Collect(context.Context, talos.CollectOptions) (*cluster.Snapshot, error) {
	<-f.search
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.found == "" {
		return nil, errors.New("nobody answered")
	}
	return watchedCluster(f.found), nil
}

// find says what searches find from now on.
func (f *fakeNodes) find(found string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found = found
}

func (f *fakeNodes) WatchAddressesVia(ctx context.Context, node, via string, report func(talos.AddressChange)) error {
	if !f.begin(node, via, report) {
		return errors.New("no control-plane node is called so")
	}
	<-ctx.Done()
	return nil
}

func (f *fakeNodes) begin(node, via string, report func(talos.AddressChange)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	if node == f.strange {
		return false
	}
	f.watches[node], f.vias[node] = report, via
	return true
}

// reveal makes the strange node one that is found, and returns how many watches
// there were before.
func (f *fakeNodes) reveal() (begun int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.strange = ""
	return f.begun
}

func (f *fakeNodes) watch(node string) func(talos.AddressChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watches[node]
}

// tell lets a node's watch tell that it has the VIP, or is free of it, and
// returns when that is taken.
func (f *fakeNodes) tell(name string, has bool) {
	c := talos.AddressChange{At: time.Now(), Heard: time.Now(), Node: name}
	if has {
		c.Present = []netip.Prefix{netip.PrefixFrom(watchedVIP, 32)}
	}
	f.watch(name)(c)
}

// watchFake watches such nodes until the returned end is called. Each event is
// given to show.
func watchFake(t *testing.T, found, strange string, show func(report.OwnershipEvent) error) (f *fakeNodes, end func()) {
	t.Helper()
	f = &fakeNodes{found: found, strange: strange, search: make(chan struct{})}
	close(f.search)
	return f, f.watchAfter(t, watchedCluster(found), show)
}

// watchAfter does so after another look.
func (f *fakeNodes) watchAfter(t *testing.T, snap *cluster.Snapshot, show func(report.OwnershipEvent) error) (end func()) {
	t.Helper()
	f.watches, f.vias = map[string]func(talos.AddressChange){}, map[string]string{}
	snap.TakenAt = time.Now()
	claims := snap.Claims(watchedVIP)
	w := &ownerWatch{
		client:  f,
		known:   newWatching(report.NewOwnership(snap, report.Judged{VIP: watchedVIP, Claims: claims, Verdict: vip.Judge(claims)}), 0),
		changes: make(chan nodeChange), snaps: make(chan *cluster.Snapshot),
		print: func(events ...report.OwnershipEvent) error {
			for _, e := range events {
				if err := show(e); err != nil {
					return err
				}
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	synctest.Wait()
	return func() {
		t.Helper()
		cancel()
		synctest.Wait()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the watch ends with %v; want nil", err)
			}
		default:
			t.Error("the watch goes on; want its end")
		}
	}
}

// A pipe that nobody reads keeps no watch from its end.
func TestWatchThatNobodyReadsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := make(chan struct{})
		defer close(full)
		f, end := watchFake(t, "cp-1 has, cp-2 free", "", func(report.OwnershipEvent) error {
			<-full
			return nil
		})
		f.tell("cp-1", false)
		synctest.Wait()
		end()
	})
}

// What was told while a line could not be printed is older than the end of that:
// it keeps its time, and a handover is no split brain for it.
func TestWatchOfASlowReader(t *testing.T) {
	for range 20 { // which of several is taken first is left to chance
		synctest.Test(t, func(t *testing.T) {
			var (
				got  []string
				told time.Time
			)
			free, slow := make(chan struct{}), true
			f, end := watchFake(t, "cp-1 has, cp-2 free", "", func(e report.OwnershipEvent) error {
				if slow {
					slow = false
					<-free
				}
				got = append(got, e.Verdict)
				if e.Verdict == "owned" && !e.At.Equal(told) {
					t.Errorf("it was so at %v; want %v", e.At, told)
				}
				return nil
			})
			f.tell("cp-2", true)
			synctest.Wait()
			time.Sleep(time.Second)
			told = time.Now()
			go f.tell("cp-1", false)
			time.Sleep(searchEvery)
			close(free)
			synctest.Wait()
			if all := strings.Join(got, " "); all != "disputed owned" {
				t.Errorf("the verdicts are %q; want no split brain", all)
			}
			end()
		})
	}
}

// A node that a watch did not find is watched once a search has found it.
func TestWatchOfANodeThatIsFoundLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		f, end := watchFake(t, "cp-1 has, cp-2 free", "cp-2", func(e report.OwnershipEvent) error {
			got = append(got, e.Type)
			return nil
		})
		time.Sleep(4 * searchInTrouble)
		synctest.Wait()
		if begun := f.reveal(); strings.Join(got, " ") != "gap" || begun < 5 || begun > 7 {
			t.Fatalf("a node that is not found makes %v, and %d watches; want a gap, and one at once and with each search", got, begun)
		}
		time.Sleep(searchInTrouble)
		synctest.Wait()
		if f.watch("cp-2") == nil {
			t.Fatal("it is not watched when it is found; want that it is")
		}
		f.tell("cp-2", false)
		synctest.Wait()
		if want := "gap seen"; strings.Join(got, " ") != want {
			t.Errorf("then %v; want %s", got, want)
		}
		end()
	})
}

// Whom the look has found is watched at once, each by the way on which it was
// found, and once only: the first search may last for as long as nodes are silent.
func TestWatchBeginsBeforeTheSearchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		f := &fakeNodes{found: "cp-1 has, cp-2 free, cp-3 silent", search: make(chan struct{})}
		look := watchedCluster(f.found)
		look.Nodes[1].Via = "10.5.0.1"
		end := f.watchAfter(t, look, func(e report.OwnershipEvent) error {
			got = append(got, e.Line())
			return nil
		})
		if f.vias["cp-2"] != "10.5.0.1" || len(f.watches) != 3 {
			t.Fatalf("the watches are by way of %v; want three, that of cp-2 through 10.5.0.1", f.vias)
		}
		f.tell("cp-1", false)
		f.tell("cp-2", true)
		synctest.Wait()
		if len(got) != 2 || !strings.Contains(got[1], " - -> cp-2 ") {
			t.Errorf("before the search ends, %q is told; want that cp-2 owns it now", got)
		}
		close(f.search)
		synctest.Wait()
		if begun := f.reveal(); begun != 4 { // cp-2 is dialled from now on
			t.Errorf("%d watches after the search; want another of cp-2 only", begun)
		}
		end()
	})
}

// A node that nobody names any more, and which is known by its address since the
// look, is the one that it was, and is watched by what it is found as.
func TestWatchOfANodeThatLostItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		f := &fakeNodes{found: "10.5.0.1@1 silent, cp-2 unlisted", strange: "cp-1", search: make(chan struct{})}
		end := f.watchAfter(t, watchedCluster("cp-1 has, cp-2 free"), func(e report.OwnershipEvent) error {
			got = append(got, e.Type+" "+e.Node+e.Verdict)
			return nil
		})
		close(f.search)
		synctest.Wait()
		if all := strings.Join(got, ", "); all != "gap cp-1, change unknown" || f.watch("10.5.0.1") == nil {
			t.Fatalf("%s is told, and watches are by way of %v; want a gap of cp-1, and a watch of it by its address", all, f.vias)
		}
		f.tell("10.5.0.1", true)
		synctest.Wait()
		if all := strings.Join(got[2:], ", "); all != "seen cp-1, change owned" {
			t.Errorf("then %s is told; want that cp-1 is seen, and has the VIP", all)
		}
		end()
	})
}

func TestWatchEndsWhenItsReaderHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		ctx, end := whileRead(t.Context(), gone.Load)
		defer end()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatal("it ends while somebody reads; want that it goes on")
		}
		gone.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("it goes on a second after its reader has gone; want its end")
		}
	})
}

// A VIP that no node has may be that of one who joined meanwhile: it is searched for
// soon, and not only with the next search of those every half a minute.
func TestWatchSearchesForTheOwnerOfAnUnownedVIP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		f := &fakeNodes{found: "cp-1 has, cp-2 free", search: make(chan struct{})}
		close(f.search)
		end := f.watchAfter(t, watchedCluster(f.found), func(e report.OwnershipEvent) error {
			got = append(got, e.Type+" "+e.Node+e.Verdict+e.Owner)
			return nil
		})
		f.find("cp-1 free, cp-2 free, cp-3 has")
		f.tell("cp-1", false)
		time.Sleep(searchInTrouble)
		synctest.Wait()
		if all, want := strings.Join(got, ", "), "change unowned, joined cp-3, change ownedcp-3"; all != want {
			t.Errorf("after %v %s is told; want %s", searchInTrouble, all, want)
		}
		end()
	})
}

// A watch that was let go may have been about to tell what it saw where its node is
// no more.
func TestWatchThatWasLetGoTellsNothing(t *testing.T) {
	w := &ownerWatch{known: watchFrom("cp-1 has, cp-2 free")}
	ctx, cancel := context.WithCancel(t.Context())
	c := nodeChange{node: w.known.node("cp-2"), watch: ctx, AddressChange: talos.AddressChange{At: w.known.now, Present: []netip.Prefix{netip.PrefixFrom(watchedVIP, 32)}}}
	cancel()
	if got := w.take(c); got != nil || len(c.node.holds) > 0 {
		t.Errorf("it tells %s; want nothing", lines(got))
	}
	c.watch = t.Context()
	if got := w.take(c); got == nil {
		t.Error("one that was not let go tells nothing; want that it does")
	}
}

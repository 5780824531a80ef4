package commands

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
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
	found string // by every search

	mu      sync.Mutex // guards what follows
	strange string     // a node that no watch finds, "" for none
	watches map[string]func(talos.AddressChange)
	begun   int // watches
}

func (f *fakeNodes) Collect(context.Context, talos.CollectOptions) (*cluster.Snapshot, error) {
	return watchedCluster(f.found), nil
}

func (f *fakeNodes) WatchAddressesVia(ctx context.Context, node, _ string, report func(talos.AddressChange)) error {
	if !f.begin(node, report) {
		return errors.New("no control-plane node is called so")
	}
	<-ctx.Done()
	return nil
}

func (f *fakeNodes) begin(node string, report func(talos.AddressChange)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	if node == f.strange {
		return false
	}
	f.watches[node] = report
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
	f = &fakeNodes{found: found, strange: strange, watches: map[string]func(talos.AddressChange){}}
	snap := watchedCluster(found)
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
	return f, func() {
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
		if begun := f.reveal(); strings.Join(got, " ") != "gap" || begun < 4 || begun > 6 {
			t.Fatalf("a node that is not found makes %v, and %d watches; want a gap, and one a search", got, begun)
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

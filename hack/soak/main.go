//go:build linux

// Command soak starts a lab, does a random fault to a random node, undoes it,
// takes the lab down, and looks for anything that is left; again and again. It
// prints a line a round, and exits with 1 on any trouble.
//
// "soak owner" asks vipctl for the owner again and again instead, in a lab with
// a bad network, and exits with 1 on any wrong answer.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == process.Command {
		os.Exit(lab.RunProcess(os.Args[2], os.Args[3:])) // this binary is the lab's, too
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	var code int
	if len(os.Args) > 1 && os.Args[1] == "owner" {
		code = soakOwner(ctx, os.Args[2:])
	} else {
		code = run(ctx)
	}
	stop()
	os.Exit(code)
}

func run(ctx context.Context) (code int) {
	rounds := flag.Int("rounds", 100, "how many rounds")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random choices; the same seed makes the same")
	deadline := flag.Duration("deadline", 2*time.Minute, "how long a round may take")
	hold := flag.Duration("hold", 5*time.Second, "how long a fault lasts at most; the lease is 2 s")
	only := flag.String("faults", "", "the faults to choose from, separated by commas (default: all)")
	flag.Parse()
	names := faults(*only)
	if *rounds < 1 || len(names) == 0 || *hold <= 0 {
		fmt.Fprintln(os.Stderr, "error: no rounds, or no faults to do, or no time for them")
		return 2
	}
	fmt.Printf("%d rounds, %d faults, seed %d\n", *rounds, len(names), *seed)
	dice := rand.New(rand.NewPCG(*seed, 0))
	base, err := surroundings("")
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	begin, sum := time.Now(), summary{}
	for i := 1; i <= *rounds && ctx.Err() == nil; i++ {
		r := round{
			name: fmt.Sprintf("soak-%d-%d", os.Getpid(), i), fault: names[dice.IntN(len(names))],
			node: fmt.Sprintf("cp-%d", 1+dice.IntN(3)), hold: time.Duration(dice.Int64N(int64(*hold))),
		}
		watchdog := time.AfterFunc(*deadline+time.Minute, hung)
		within, cancel := context.WithTimeout(ctx, *deadline)
		r.run(within)
		cancel()
		watchdog.Stop()
		r.left(base)
		sum.add(r)
		fmt.Printf("%3d  %s\n", i, r)
	}
	fmt.Printf("%s, in %v\n", sum, time.Since(begin).Round(time.Second))
	if sum.troubled > 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}

// faults returns the names to choose from.
func faults(only string) (names []string) {
	for _, f := range lab.Faults() {
		if only == "" || strings.Contains(","+only+",", ","+f.Name+",") {
			names = append(names, f.Name)
		}
	}
	return names
}

// hung ends everything when a round did not heed its deadline. The lab is
// bound to this process and ends with it.
func hung() {
	fmt.Fprintln(os.Stderr, "error: the round hangs; this process at that moment:")
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	os.Exit(1)
}

// summary counts rounds.
type summary struct {
	rounds, troubled, refused int
	slowest                   time.Duration
}

func (s *summary) add(r round) {
	s.rounds++
	if len(r.trouble) > 0 {
		s.troubled++
	}
	if r.refused != "" {
		s.refused++
	}
	s.slowest = max(s.slowest, r.took())
}

func (s summary) String() string {
	return fmt.Sprintf("%d rounds, %d with trouble, %d faults refused, slowest round %.1f s", s.rounds, s.troubled, s.refused, s.slowest.Seconds())
}

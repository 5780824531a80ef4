package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// sample is one try of a prober to connect.
type sample struct {
	sent, done time.Duration // on the clock of the truth
	ok         bool
}

// proberPatience is how long a try may take: much longer than on a busy
// machine, and shorter than the second after which the kernel sends a SYN again.
const proberPatience = 500 * time.Millisecond

// runProber connects to the address at each interval, whatever became of the
// tries before, until its standard input ends. It prints a line a try.
func runProber(addr, interval string) int {
	every, err := time.ParseDuration(interval)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ended := make(chan struct{})
	go func() { _, _ = os.Stdin.Read(make([]byte, 1)); close(ended) }()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex // guards out
		out = bufio.NewWriter(os.Stdout)
	)
	ticker := time.NewTicker(every)
	for {
		select {
		case <-ticker.C:
			wg.Go(func() {
				s := try(addr)
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(out, int64(s.sent), int64(s.done), s.ok)
			})
		case <-ended:
			wg.Wait()
			_ = out.Flush()
			return 0
		}
	}
}

func try(addr string) sample {
	s := sample{sent: truth.Now()}
	conn, err := net.DialTimeout("tcp", addr, proberPatience)
	s.done, s.ok = truth.Now(), err == nil
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0) // leaves no connection behind in TIME_WAIT
		_ = conn.Close()
	}
	return s
}

// probe runs a prober on the workstation until stop is called, which returns
// its samples in the order of sending.
func probe(t *testing.T, l *Lab, addr string, every time.Duration) (stop func() []sample) {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var samples []sample
	read, ran := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(outR); lines.Scan(); {
			var sent, done int64
			var ok bool
			if _, err := fmt.Sscan(lines.Text(), &sent, &done, &ok); err != nil {
				t.Errorf("the prober said %q", lines.Text())
				continue
			}
			samples = append(samples, sample{time.Duration(sent), time.Duration(done), ok})
		}
	}()
	go func() {
		code, err := l.Exec(context.WithoutCancel(t.Context()), Command{
			Args: []string{"vipctl", "test-prober", addr, every.String()}, Dir: "/", Stdin: inR, Stdout: outW, Stderr: outW,
		})
		if err == nil && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		_ = outW.Close()
		_ = inR.Close()
		ran <- err
	}()
	return func() []sample {
		_ = inW.Close()
		err := <-ran
		<-read
		_ = outR.Close()
		if err != nil {
			t.Errorf("the prober: %v", err)
		}
		slices.SortFunc(samples, func(a, b sample) int { return int(a.sent - b.sent) })
		return samples
	}
}

// gap is the longest time since from without an answer. It is an outage that
// was seen an interval of the prober's and the time of an answer too long at
// most: a try may wait for its answer for some time, so that the time of its
// sending would tell less.
func gap(samples []sample, from time.Duration) (time.Duration, error) {
	var answers []time.Duration
	for _, s := range samples {
		if s.ok {
			answers = append(answers, s.done)
		}
	}
	slices.Sort(answers)
	var longest time.Duration
	for i, at := range answers {
		if i > 0 && at >= from {
			longest = max(longest, at-answers[i-1])
		}
	}
	if longest == 0 {
		return 0, errors.New("the prober did not see the service come back")
	}
	return longest, nil
}

func TestGap(t *testing.T) {
	row := func(times ...int) (list []sample) { // negative is a failure
		for _, ms := range times {
			at := time.Duration(max(ms, -ms)) * time.Millisecond
			list = append(list, sample{sent: at - 1, done: at, ok: ms > 0})
		}
		return list
	}
	for _, tt := range []struct {
		name    string
		samples []sample
		want    int // ms; 0 is an error
	}{
		{"no failure", row(5, 10, 15, 20), 5},
		{"two failures in a row", row(5, 10, -15, -20, 25), 15},
		{"a pause of the prober's own counts as well", row(5, 10, 40, 45), 30},
		{"what was before does not count", row(1, -2, -3, 9, 10, 15, -20, 25), 10},
		{"it never comes back", row(5, 10, -15, -20), 0},
	} {
		got, err := gap(tt.samples, 11*time.Millisecond)
		if got.Milliseconds() != int64(tt.want) || (err != nil) != (tt.want == 0) {
			t.Errorf("gap(%s) = %v, %v; want %d ms", tt.name, got, err, tt.want)
		}
	}
}

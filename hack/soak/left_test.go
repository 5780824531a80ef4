//go:build linux

package main

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab"
)

func TestWhatIsLeftIsFound(t *testing.T) {
	base, err := surroundings("")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		leave func(t *testing.T)
		want  string
	}{
		"nothing": {func(*testing.T) {}, ""},
		"a process": {func(t *testing.T) {
			cmd := exec.Command("sleep", "60")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		}, "process "},
		"an open namespace": {func(t *testing.T) {
			f, err := os.Open("/proc/self/ns/net")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
		}, "net:["},
		"a lab's socket": {func(t *testing.T) {
			l, err := net.Listen("unix", "@vipctl-lab-0-soaktest")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, "vipctl-lab-0-soaktest"},
		"goroutines": {func(t *testing.T) {
			stop := make(chan struct{})
			for range 5 {
				go func() { <-stop }()
			}
			t.Cleanup(func() { close(stop) })
		}, "goroutines"},
	}
	before := runtime.NumGoroutine()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.leave(t)
			now, err := surroundings("soaktest")
			if err != nil {
				t.Fatal(err)
			}
			base := base
			base.goroutines = 3 // of the test itself: main, this one, and one to come
			found := strings.Join(now.beyond(base), ", ")
			if tt.want == "" && found != "" || !strings.Contains(found, tt.want) {
				t.Errorf("left: %q; want %q", found, tt.want)
			}
		})
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // its goroutines end
		}
	}
}

func TestLacking(t *testing.T) {
	whole := func() lab.Status {
		return lab.Status{
			Nodes: []lab.NodeStatus{{Name: "cp-1", Power: lab.PowerOn}, {Name: "cp-2", Power: lab.PowerOn}},
			VIPs:  []lab.VIPStatus{{Address: "10.5.0.50", Holders: []string{"cp-1"}}},
		}
	}
	tests := map[string]struct {
		change func(*lab.Status)
		want   string
	}{
		"a whole lab":           {func(*lab.Status) {}, ""},
		"a node that is off":    {func(s *lab.Status) { s.Nodes[1].Power = lab.PowerOff }, "cp-2 is off"},
		"a fault still there":   {func(s *lab.Status) { s.Nodes[0].Faults = []string{"freeze"} }, "cp-1 has [freeze]"},
		"a VIP that nobody has": {func(s *lab.Status) { s.VIPs[0].Holders = nil }, "10.5.0.50 is held by []"},
		"a VIP that two have":   {func(s *lab.Status) { s.VIPs[0].Holders = []string{"cp-1", "cp-2"} }, "10.5.0.50 is held by [cp-1 cp-2]"},
	}
	for name, tt := range tests {
		st := whole()
		tt.change(&st)
		if got := lacking(st); got != tt.want {
			t.Errorf("lacking(%s) = %q; want %q", name, got, tt.want)
		}
	}
}

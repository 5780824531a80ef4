package commands

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
)

func parseFailover(t *testing.T, args string) *failoverOptions {
	t.Helper()
	var got *failoverOptions
	h := newHarness(t)
	cmd := newFailoverTestCommand(h.f, func(_ context.Context, o *failoverOptions) error {
		got = o
		return nil
	})
	h.f.flags.bindOutput(cmd.Flags())
	h.f.flags.bindCluster(cmd.Flags())
	cmd.SetArgs(strings.Fields(args))
	if err := cmd.ExecuteContext(t.Context()); err == nil && got == nil {
		t.Fatalf("failover-test %s did not run", args)
	} else if err != nil {
		t.Fatalf("failover-test %s: %v (hint: %s)", args, err, cli.HintOf(err))
	}
	return got
}

func TestModesAreRepeatableOrCommaSeparated(t *testing.T) {
	want := []string{"graceful", "hard"}
	for _, args := range []string{"--mode graceful,hard", "--mode graceful --mode hard", "-m graceful -m hard"} {
		if got := parseFailover(t, args).Modes; !slices.Equal(got, want) {
			t.Errorf("failover-test %s: modes = %q; want %q", args, got, want)
		}
	}
}

func TestObjectives(t *testing.T) {
	for _, tt := range []struct {
		args string
		want map[string]time.Duration
	}{
		{"", map[string]time.Duration{}},
		{"--max-outage 2s", map[string]time.Duration{"graceful": 2 * time.Second, "force": 2 * time.Second, "hard": 2 * time.Second}},
		{"--max-outage hard=65s", map[string]time.Duration{"hard": 65 * time.Second}},
		{"--max-outage hard=65s,2s", map[string]time.Duration{"graceful": 2 * time.Second, "force": 2 * time.Second, "hard": 65 * time.Second}},
	} {
		if got := parseFailover(t, "--mode hard "+tt.args).Objectives; !maps.Equal(got, tt.want) {
			t.Errorf("failover-test %s: objectives = %v; want %v", tt.args, got, tt.want)
		}
	}
}

func TestDefaultsAreTheContract(t *testing.T) {
	o := parseFailover(t, "--mode hard")
	for _, d := range []struct {
		name      string
		got, want time.Duration
	}{
		{"interval", o.Interval, 20 * time.Millisecond},
		{"probe-timeout", o.Timeout, 200 * time.Millisecond},
		{"baseline", o.Baseline, 5 * time.Second},
		{"settle", o.Settle, 15 * time.Second},
		{"drill-timeout", o.Drill, 150 * time.Second},
		{"recovery-timeout", o.Recovery, 30 * time.Minute},
	} {
		if d.got != d.want {
			t.Errorf("--%s = %s; want %s", d.name, d.got, d.want)
		}
	}
	if o.Rounds != 1 || o.Yes || o.DryRun {
		t.Errorf("rounds, yes, dry-run = %d, %t, %t; want 1, false, false", o.Rounds, o.Yes, o.DryRun)
	}
}

package commands

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
)

// The modes of failover-test, softest first.
const (
	modeGraceful = "graceful"
	modeForce    = "force"
	modeHard     = "hard"
)

var drillModes = []string{modeGraceful, modeForce, modeHard}

// failoverOptions are what a run of failover-test was asked for.
type failoverOptions struct {
	Modes    []string
	Rounds   int
	Interval time.Duration // between two probes
	Timeout  time.Duration // of a probe
	Baseline time.Duration // of good probes before the fault
	Settle   time.Duration // of good probes before service counts as back
	Drill    time.Duration // limit for the VIP to come back
	Recovery time.Duration // limit for the node to come back
	// MaxOutages are the objectives as given: "2s" or "hard=65s".
	MaxOutages []string
	Objectives map[string]time.Duration // by mode, parsed from MaxOutages
	DryRun     bool
	Yes        bool
}

func newFailoverTestCommand(f *Factory, runF func(context.Context, *failoverOptions) error) *cobra.Command {
	opts := &failoverOptions{}
	cmd := &cobra.Command{
		Use:   "failover-test --mode MODE[,MODE...]",
		Short: "Do a controlled failover and measure how long the VIP is gone",
		Long: `failover-test takes the VIP from its owner, measures how long the address is
gone, and waits until the cluster is whole again. The modes:

  graceful  reboot the owner through the Talos API
  force     reboot it without stopping its workloads (Talos 1.12 and later);
            abrupt, but no power cut
  hard      cut its power by the switch named in the configuration file, and
            switch it on again

A guard must find the cluster whole before the plan is printed and again right
before the fault. The owner is named and must be confirmed. Ctrl-C before the
fault leaves everything as it was; after it, the first one stops the rounds and
waits until the cluster is whole, the second leaves at once.`,
		Example: `  # rehearse on this machine
  vipctl lab run --lease-ttl 5s -- vipctl failover-test --mode graceful,hard --yes

  # what would happen
  vipctl failover-test --mode graceful --dry-run

  # three power cuts, each to be over within 65 seconds
  vipctl failover-test --mode hard --rounds 3 --max-outage 65s`,
		GroupID: groupDrill,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.complete(); err != nil {
				return err
			}
			if err := refuseEmpty(cmd.Flags(), choosing...); err != nil {
				return err
			}
			if _, err := f.format(); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runFailoverTest(cmd.Context(), f, opts)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVarP(&opts.Modes, "mode", "m", nil, "drills to do, in this order: "+strings.Join(drillModes, ", "))
	fs.IntVar(&opts.Rounds, "rounds", 1, "how often each mode is done")
	fs.DurationVar(&opts.Interval, "interval", 20*time.Millisecond, "time between two probes")
	fs.DurationVar(&opts.Timeout, "probe-timeout", 200*time.Millisecond, "a probe without an answer in this time has failed")
	fs.DurationVar(&opts.Baseline, "baseline", 5*time.Second, "time of good probes before the fault")
	fs.DurationVar(&opts.Settle, "settle", 15*time.Second, "time of good probes before the VIP counts as back")
	fs.DurationVar(&opts.Drill, "drill-timeout", 150*time.Second, "time for the VIP to come back")
	fs.DurationVar(&opts.Recovery, "recovery-timeout", 30*time.Minute, "time for the node to come back")
	fs.StringSliceVar(&opts.MaxOutages, "max-outage", nil, "objective, for all modes (2s) or for one (hard=65s)")
	fs.BoolVar(&opts.DryRun, "dry-run", false, "go the same way up to the fault, and stop there")
	fs.BoolVarP(&opts.Yes, "yes", "y", false, "do not ask")
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(
		[]cobra.Completion{"graceful\treboot", "force\treboot without stopping workloads", "hard\tpower cut"},
		cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// choosing are the flags by which it is chosen what is disturbed, and what it is held
// to. An empty one is none for who only looks, as with talosctl; a drill does not
// fall back on another cluster.
var choosing = []string{"talosconfig", "context", "nodes", "endpoints", "cluster", "siderov1-keys-dir", "kubeconfig", "config", "max-outage"}

// complete checks what was asked for and fills in what follows from it.
func (o *failoverOptions) complete() error {
	if len(o.Modes) == 0 {
		return cli.WithHint(cli.Usagef("--mode is required"), "one or more of %s", strings.Join(drillModes, ", "))
	}
	for _, m := range o.Modes {
		if !slices.Contains(drillModes, m) {
			return cli.WithHint(cli.Usagef("--mode: unknown mode %q", m), "one or more of %s", strings.Join(drillModes, ", "))
		}
	}
	if o.Rounds < 1 {
		return cli.WithHint(cli.Usagef("--rounds: %d is less than one round", o.Rounds), "such as --rounds 3")
	}
	if err := o.checkDurations(); err != nil {
		return err
	}
	return o.parseObjectives()
}

func (o *failoverOptions) checkDurations() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"interval", o.Interval, time.Millisecond},
		{"probe-timeout", o.Timeout, time.Millisecond},
		{"baseline", o.Baseline, o.Interval},
		{"settle", o.Settle, o.Interval},
		{"drill-timeout", o.Drill, time.Second},
		{"recovery-timeout", o.Recovery, time.Second},
	} {
		if d.value < d.least {
			return cli.WithHint(cli.Usagef("--%s: %s is too short", d.flag, d.value), "at least %s", d.least)
		}
	}
	return nil
}

// parseObjectives reads --max-outage: a duration for all modes, or MODE=duration.
// The one for a mode wins over the one for all.
func (o *failoverOptions) parseObjectives() error {
	o.Objectives = map[string]time.Duration{}
	named := map[string]time.Duration{}
	for _, text := range o.MaxOutages {
		mode, value, found := strings.Cut(text, "=")
		if !found {
			mode, value = "", text
		}
		d, err := time.ParseDuration(value)
		switch {
		case err != nil || d <= 0:
			return cli.WithHint(cli.Usagef("--max-outage: %q is not a positive duration", text), "such as 2s, or hard=65s")
		case mode != "" && !slices.Contains(drillModes, mode):
			return cli.WithHint(cli.Usagef("--max-outage: unknown mode %q", mode), "one of %s", strings.Join(drillModes, ", "))
		case mode != "":
			named[mode] = d
		default:
			for _, m := range drillModes {
				o.Objectives[m] = d
			}
		}
	}
	maps.Copy(o.Objectives, named)
	return nil
}

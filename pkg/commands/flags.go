package commands

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// flags are the flags that commands share.
type flags struct {
	// Options are access to Talos as in talosctl: the same names, shorthands,
	// environment and search path.
	talos.Options
	// Contexts are what --context names; Options' own is left empty.
	Contexts    []string
	AllContexts bool
	Kubeconfig  string
	Config      string
	Output      string
	NoColor     bool
	VIPs        []string
	// Election is owner's alone.
	Election bool
}

// bindOutput adds what every command has.
func (g *flags) bindOutput(fs *pflag.FlagSet) {
	fs.StringVarP(&g.Output, "output", "o", report.Table, "output format: "+strings.Join(report.Formats(), ", "))
	fs.BoolVar(&g.NoColor, "no-color", false, "no colour (also by NO_COLOR)")
}

// bindCluster adds what every command has that looks at a cluster.
func (g *flags) bindCluster(fs *pflag.FlagSet) {
	fs.StringVar(&g.Talosconfig, "talosconfig", "", "path to the talosconfig (default $TALOSCONFIG, then ~/.talos/config)")
	fs.StringSliceVar(&g.Contexts, "context", nil, "context of the talosconfig (default the current one)")
	fs.StringSliceVarP(&g.Nodes, "nodes", "n", nil, "nodes whose rows are shown; a verdict always rests on all control-plane nodes")
	fs.StringSliceVarP(&g.Endpoints, "endpoints", "e", nil, "Talos API endpoints, in place of the talosconfig's")
	fs.StringVarP(&g.Cluster, "cluster", "c", "", "cluster to connect to through a proxy such as Omni")
	fs.StringVar(&g.KeysDir, "siderov1-keys-dir", "", "directory of SideroV1 keys (default $SIDEROV1_KEYS_DIR, then ~/.talos/keys)")
	fs.StringVar(&g.Kubeconfig, "kubeconfig", "", "path to a kubeconfig, for what needs Kubernetes credentials (default $KUBECONFIG)")
	fs.StringVar(&g.Config, "config", "", "vipctl's configuration file (default $VIPCTL_CONFIG, then $XDG_CONFIG_HOME/vipctl/config.yaml)")
	fs.DurationVar(&g.Timeout, "timeout", talos.DefaultTimeout, "time for each node's answer")
	fs.StringSliceVar(&g.VIPs, "vip", nil, "virtual IP to look at (default those that the nodes have configured)")
}

// bindContexts adds what every command has that can look at several clusters.
func (g *flags) bindContexts(fs *pflag.FlagSet) {
	fs.BoolVar(&g.AllContexts, "all-contexts", false, "look at the clusters of all contexts of the talosconfig")
	fs.Lookup("context").Usage = "contexts of the talosconfig (default the current one); several give a list"
}

// vips parses --vip.
func (g *flags) vips() ([]netip.Addr, error) {
	var list []netip.Addr
	for _, s := range g.VIPs {
		addr, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			return nil, cli.WithHint(cli.Usagef("--vip: %q is not an IP address", s), "give the address alone, such as 10.5.0.50")
		}
		list = append(list, addr.Unmap().WithZone("")) // as nodes tell theirs
	}
	return list, nil
}

// format returns the output format, once it is known to be one.
func (f *Factory) format() (string, error) {
	if !slices.Contains(report.Formats(), f.flags.Output) {
		return "", &cli.UsageError{Err: fmt.Errorf("--output: %w", &report.FormatError{Format: f.flags.Output})}
	}
	if f.flags.Timeout <= 0 {
		return "", cli.WithHint(cli.Usagef("--timeout: %s is not a positive duration", f.flags.Timeout), "such as --timeout 5s")
	}
	return f.flags.Output, nil
}

// refuseEmpty refuses those of the flags that were given without a value, as with a
// variable that is not set: what they choose would be chosen otherwise, and nobody told.
func refuseEmpty(fs *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		flag := fs.Lookup(name)
		if flag == nil || !flag.Changed {
			continue
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if !slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) != "" }) {
			return cli.WithHint(cli.Usagef("--%s has no value", name), "a variable may not be set: give --%s a value, or leave it out", name)
		}
	}
	return nil
}

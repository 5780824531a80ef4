package labcmd

import (
	"errors"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
)

// specFlags are the flags of a command that starts a lab.
type specFlags struct {
	spec    lab.Spec
	vips    []string
	timeout time.Duration
}

func addSpecFlags(cmd *cobra.Command) *specFlags {
	f := &specFlags{spec: lab.Spec{}.Default()}
	fl := cmd.Flags()
	fl.IntVar(&f.spec.ControlPlanes, "control-planes", f.spec.ControlPlanes, "how many control-plane nodes: 1, 3 or 5")
	fl.StringSliceVar(&f.vips, "vip", []string{lab.DefaultVIP.String()}, "the VIP, an IPv4 address in 10.5.0.0/24; may be repeated")
	fl.DurationVar(&f.spec.LeaseTTL, "lease-ttl", f.spec.LeaseTTL, "lease of the election, in whole seconds from 2s; Talos has 60s")
	fl.DurationVar(&f.spec.BootTime, "boot-time", f.spec.BootTime, "how long a node's firmware takes at power-on and reboot")
	fl.StringSliceVar(&f.spec.VIPNodes, "vip-nodes", nil, "the nodes that have the VIP configured (default: all)")
	fl.StringVar(&f.spec.TalosVersion, "talos-version", f.spec.TalosVersion, "the version that the nodes say they are")
	fl.BoolVar(&f.spec.TalosTiming, "talos-timing", false, "check etcd's health first after 5 s, as Talos does, not at once")
	fl.Uint32Var(&f.spec.Seed, "seed", 0, "changes the nodes' hardware addresses")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "how long the lab may take to come up")
	return f
}

// read returns the lab that is asked for.
func (f *specFlags) read(name string) (lab.Spec, error) {
	spec := f.spec
	spec.Name, spec.VIPs = name, nil
	var errs []error
	for _, v := range f.vips {
		vip, err := netip.ParseAddr(v)
		if err != nil {
			errs = append(errs, cli.Usagef("vip: %q is not an address", v))
			continue
		}
		spec.VIPs = append(spec.VIPs, vip)
	}
	if f.timeout <= 0 {
		errs = append(errs, cli.Usagef("timeout: %v is not positive", f.timeout))
	}
	if len(f.vips) == 0 {
		errs = append(errs, cli.Usagef("vip: none is given"))
	}
	if err := errors.Join(append(errs, spec.Validate())...); err != nil {
		return spec, cli.WithHint(&cli.UsageError{Err: err}, "`vipctl lab up --help` describes the flags")
	}
	return spec, nil
}

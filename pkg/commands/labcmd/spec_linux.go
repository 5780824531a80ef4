package labcmd

import (
	"errors"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
)

// specFlags are the flags of a command that starts a lab.
type specFlags struct {
	spec    lab.Spec
	vips    []string
	links   []string
	timeout time.Duration
}

func addSpecFlags(cmd *cobra.Command) *specFlags {
	f := &specFlags{spec: lab.Spec{}.Default()}
	fl := cmd.Flags()
	fl.IntVar(&f.spec.ControlPlanes, "control-planes", f.spec.ControlPlanes, "how many control-plane nodes: 1 to 5")
	fl.IntVar(&f.spec.Workers, "workers", 0, "how many workers: 0 to 5")
	fl.StringSliceVar(&f.vips, "vip", []string{lab.DefaultVIP.String()}, "the VIP; may be repeated, and IPv6: the lab is 10.5.0.0/24 and fd10:5::/64")
	fl.DurationVar(&f.spec.LeaseTTL, "lease-ttl", f.spec.LeaseTTL, "lease of the election, in whole seconds from 2s; Talos has 60s")
	fl.DurationVar(&f.spec.BootTime, "boot-time", f.spec.BootTime, "how long a node's firmware takes at power-on and reboot")
	fl.StringSliceVar(&f.spec.VIPNodes, "vip-nodes", nil, "the nodes that have the VIP configured (default: all control planes)")
	fl.StringSliceVar(&f.links, "vip-link", nil, "LINK or NODE=LINK on which the VIP is configured; need not exist; eth0 is also enx and its hardware address (default: eth0, or the VLAN for its addresses)")
	fl.Uint16Var(&f.spec.VLAN, "vlan", 0, "put all on a VLAN of this ID, too, as eth0.ID: 10.6.0.0/24 and fd10:6::/64")
	fl.IntVar(&f.spec.Subnets, "subnets", f.spec.Subnets, "2 puts the lesser half of the control planes behind a router, in 10.5.1.0/24")
	fl.StringVar(&f.spec.TalosVersion, "talos-version", f.spec.TalosVersion, "the version that the nodes say they are and behave like, from v1.8 on")
	fl.StringVar(&f.spec.ConfigStyle, "config-style", "", "how machine configurations have the VIP: legacy or documents (default: documents from v1.12 on)")
	fl.BoolVar(&f.spec.TalosTiming, "talos-timing", false, "check etcd's health first after 5 s, as Talos does, not at once")
	fl.BoolVar(&f.spec.NoKubePrism, "no-kubeprism", false, "turn KubePrism off: workers' kubelets go to the cluster's endpoint, the VIP")
	fl.StringVar(&f.spec.Endpoint, "endpoint", "", "host of the cluster's endpoint (default: the first VIP)")
	fl.StringVar(&f.spec.KubeAPIServer, "kube-apiserver", "", "run this kube-apiserver, v1.36, on the nodes (default: a stand-in)")
	fl.Uint32Var(&f.spec.Seed, "seed", 0, "changes the nodes' hardware addresses")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "how long the lab may take to come up")
	completeSpecFlags(cmd, f)
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
	links, err := readLinks(f.links)
	spec.VIPLinks, errs = links, append(errs, err)
	if path := spec.KubeAPIServer; path != "" {
		err := errors.New("kube-apiserver: not an executable file: " + path)
		if found, lookErr := exec.LookPath(path); lookErr == nil {
			spec.KubeAPIServer, err = filepath.Abs(found)
		}
		errs = append(errs, err)
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

// readLinks reads LINK and NODE=LINK; the former is under "".
func readLinks(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	links := make(map[string]string)
	for _, l := range list {
		name, link, found := strings.Cut(l, "=")
		if !found {
			name, link = "", l
		}
		if _, twice := links[name]; twice {
			return nil, cli.Usagef("vip-link: %s is for nodes that have one already", l)
		}
		links[name] = link
	}
	return links, nil
}

package lab

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// certificateLife is how long the lab's client certificates are good for:
// longer than any lab runs.
const certificateLife = 365 * 24 * time.Hour

// bmcUser is the name that the BMCs know.
const bmcUser = "admin"

// files are where the lab's files lie, all below dir.
type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) secrets() string     { return f.path("secrets.yaml") }
func (f files) talosconfig() string { return f.path("talosconfig") }
func (f files) kubeconfig() string  { return f.path("kubeconfig") }
func (f files) config() string      { return f.path("vipctl.yaml") }
func (f files) password() string    { return f.path("bmc-password") }
func (f files) node(name string) string {
	return f.path(filepath.Join("nodes", name))
}

// write makes everything that a client of the lab reads, and the secrets that
// the nodes share. It returns the BMCs' password.
func (f files) write(s Spec, now time.Time) (password string, err error) {
	cluster, err := pki.New(s.TalosVersion, now)
	if err != nil {
		return "", fmt.Errorf("making the cluster's secrets: %w", err)
	}
	if err := cluster.WriteFile(f.secrets()); err != nil {
		return "", err
	}
	if err := f.writeTalosconfigs(s, cluster); err != nil {
		return "", err
	}
	kubeconfig, err := cluster.Kubeconfig(s.Name, "https://"+net.JoinHostPort(cmp.Or(s.Endpoint, s.VIPs[0].String()), "6443"))
	if err != nil {
		return "", fmt.Errorf("making the kubeconfig: %w", err)
	}
	config, err := yaml.Marshal(vipctlConfig(s, f.password()))
	if err != nil {
		return "", fmt.Errorf("making the vipctl configuration: %w", err)
	}
	password = rand.Text()
	for path, data := range map[string][]byte{
		f.kubeconfig(): kubeconfig, f.config(): config, f.password(): []byte(password + "\n"),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return "", err
		}
	}
	return password, nil
}

// writeTalosconfigs writes one for the administrator, one for each lesser role,
// and one that names the VIPs as endpoints, where Talos says not to.
func (f files) writeTalosconfigs(s Spec, cluster *pki.Cluster) error {
	nodes, _ := s.addresses()
	for suffix, role := range map[string]string{
		"": "os:admin", "-operator": "os:operator", "-reader": "os:reader", "-vip": "os:admin",
	} {
		endpoints := nodes
		if suffix == "-vip" {
			endpoints = texts(s.VIPs)
		}
		data, err := cluster.Talosconfig(s.Name, endpoints, nodes, role, certificateLife)
		if err != nil {
			return fmt.Errorf("making the talosconfig for %s: %w", role, err)
		}
		if err := os.WriteFile(f.talosconfig()+suffix, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// environment is what a command on the workstation finds set, besides what its
// caller gave it.
func (f files) environment(s Spec) map[string]string {
	nodes, workers := s.addresses()
	return map[string]string{
		"TALOSCONFIG": f.talosconfig(), "KUBECONFIG": f.kubeconfig(), "VIPCTL_CONFIG": f.config(),
		EnvName: s.Name, EnvVIP: strings.Join(texts(s.VIPs), ","), EnvNodes: strings.Join(nodes, ","),
		EnvWorkers: strings.Join(workers, ","),
	}
}

func texts(addrs []netip.Addr) (all []string) {
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}

// The vipctl configuration file, as far as the lab fills it in.
type (
	configFile struct {
		APIVersion string                `yaml:"apiVersion"`
		VIPs       []string              `yaml:"vips"`
		LeaseTTL   string                `yaml:"leaseTTL,omitempty"`
		Nodes      map[string]configNode `yaml:"nodes"`
	}
	configNode struct {
		Power configPower `yaml:"power"`
	}
	configPower struct {
		Driver       string `yaml:"driver"`
		URL          string `yaml:"url"`
		Username     string `yaml:"username"`
		PasswordFile string `yaml:"passwordFile"`
	}
)

func vipctlConfig(s Spec, passwordFile string) configFile {
	c := configFile{APIVersion: "vipctl.dev/v1alpha1", Nodes: make(map[string]configNode)}
	for _, v := range s.VIPs {
		c.VIPs = append(c.VIPs, v.String())
	}
	if s.LeaseTTL != defaultLeaseTTL {
		c.LeaseTTL = s.LeaseTTL.String()
	}
	for _, p := range s.places() {
		if p.Worker { // it has no part in the VIP
			continue
		}
		c.Nodes[p.Name] = configNode{Power: configPower{
			Driver: "redfish", URL: "http://" + p.BMC.String(), Username: bmcUser, PasswordFile: passwordFile,
		}}
	}
	return c
}

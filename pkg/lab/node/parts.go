//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/operator"
)

// path returns a path on the machine's disk.
func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.cfg.Dir}, elem...)...)
}

// realParts returns the machine's own processes and operators.
func realParts(m *machine, r *reaper, truthLog *os.File, s *secretFiles, client *etcdClient) parts {
	launch := func(log string, cmd *exec.Cmd, err error) (proc, error) {
		if err != nil {
			return nil, err
		}
		out, err := m.journal.process(log)
		if err != nil {
			return nil, err
		}
		defer func() { _ = out.Close() }()
		cmd.Stdout, cmd.Stderr = out, out
		cmd.ExtraFiles = []*os.File{truthLog}
		return r.start(cmd)
	}
	return parts{
		etcd: func() (proc, error) {
			cmd, err := etcd.Command(m.etcdConfig(s), m.path("etcd.json"))
			return launch("etcd", cmd, err)
		},
		apiserver: func() (proc, error) {
			cmd, err := m.apiserverCommand(s)
			return launch("kube-system/kube-apiserver-"+m.cfg.Name+":kube-apiserver", cmd, err)
		},
		etcdHealth:     client.health,
		apiserverReady: readiness(m, s),
		kubelet:        newKubeClient(m.cfg.kubeletServer(), s.kubelet.ClientTLS),
		controller:     newKubeClient(m.cfg.kubeletServer(), s.apiserver.ClientTLS),
		operator: func(ctx context.Context, vip int) error {
			return operator.Run(ctx, m.operatorConfig(s, m.cfg.VIPs[vip]))
		},
	}
}

func (m *machine) etcdConfig(s *secretFiles) etcd.Config {
	cfg := etcd.Config{Name: m.cfg.Name, Dir: m.path("etcd"), Addr: m.cfg.Addr.Addr(), Files: s.etcd}
	if members := m.joining.Load(); members != nil {
		cfg.Peers, cfg.Join = *members, true
		return cfg
	}
	for _, p := range m.cfg.Peers {
		cfg.Peers = append(cfg.Peers, etcd.Peer{Name: p.Name, Addr: p.Addr})
	}
	return cfg
}

// apiserverCommand is the node's apiserver: the stand-in, or a real one.
func (m *machine) apiserverCommand(s *secretFiles) (*exec.Cmd, error) {
	if m.cfg.KubeAPIServer != "" {
		return m.kubeAPIServer(s)
	}
	return apiserver.Command(m.apiserverConfig(s), m.path("apiserver.json"))
}

func (m *machine) apiserverConfig(s *secretFiles) apiserver.Config {
	return apiserver.Config{
		Node: m.cfg.Name, Addr: m.cfg.Addr.Addr(), VIPs: m.cfg.AllVIPs,
		Files: s.apiserver, Etcd: s.etcd, KubernetesVersion: m.cfg.KubernetesVersion,
		UnreadyFile: m.unreadyFile(),
	}
}

func (m *machine) operatorConfig(s *secretFiles, vip VIP) operator.Config {
	return operator.Config{
		VIP: vip.Addr, Link: vip.Link, Hostname: os.Hostname, TTL: m.cfg.LeaseTTL,
		Client: func(context.Context) (*clientv3.Client, error) {
			client, err := etcd.Client(s.etcd)
			m.campaigns.note(vip.Addr, client)
			return client, err
		},
		Gate:   &gate{state: m.state, finalizer: "vip/" + vip.Link},
		Truth:  m.truth,
		Kernel: &carrier{Kernel: m.operatorKernel(vip.Link), m: m, link: vip.Link}, LeavesLease: m.cfg.release().LeavesLease(),
		Log: m.journal.operator(),
	}
}

// operatorKernel carries addresses as the node's release does.
func (m *machine) operatorKernel(link string) operator.Kernel {
	if m.cfg.release().SetsBroadcast() {
		return operator.NewBroadcastKernel(link)
	}
	return operator.NewKernel(link)
}

// carrier is the kernel under a VIP operator, and keeps the address specs that
// Talos's operator makes its address of: from the address on the link on, who
// ever put it there, until it is off.
type carrier struct {
	operator.Kernel
	m    *machine
	link string
}

// AddAddress publishes the specs of an address that was there already, too.
func (c *carrier) AddAddress(prefix netip.Prefix) error {
	c.m.held.mu.Lock()
	defer c.m.held.mu.Unlock()
	err := c.Kernel.AddAddress(prefix)
	if err == nil {
		c.log().Info("assigned address", zap.Stringer("address", prefix), zap.String("link", c.link))
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		c.m.held.set(prefix, true)
		c.m.publishAddressSpec(prefix, network.ConfigOperator)
	}
	return err
}

// RemoveAddress removes the specs with the address.
func (c *carrier) RemoveAddress(prefix netip.Prefix) error {
	c.m.held.mu.Lock()
	defer c.m.held.mu.Unlock()
	err := c.Kernel.RemoveAddress(prefix)
	if err == nil {
		c.log().Info("removed address", zap.Stringer("address", prefix), zap.String("link", c.link))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		c.m.held.set(prefix, false)
		c.m.dropAddressSpec(prefix, network.ConfigOperator)
	}
	return err
}

// held are the VIPs that the node's own operators carry, rightly or not.
type held struct {
	mu    sync.Mutex // guards addrs; held while one is added or removed
	addrs map[netip.Prefix]bool
}

// set notes whether the address is carried. The caller holds mu.
func (h *held) set(prefix netip.Prefix, carried bool) {
	if h.addrs == nil {
		h.addrs = map[netip.Prefix]bool{}
	}
	h.addrs[prefix] = carried
}

// Announce says how it went.
func (c *carrier) Announce(ip netip.Addr) error {
	err := c.Kernel.Announce(ip)
	if err != nil {
		prefix := netip.PrefixFrom(ip, ip.BitLen())
		c.log().Warn("failure sending gratuitous ARP", zap.Stringer("address", prefix), zap.String("link", c.link), zap.Error(err))
		return err
	}
	c.log().Info("sent gratuitous ARP", zap.Stringer("address", ip), zap.String("link", c.link))
	return nil
}

// log is the logger of the Talos controller that puts addresses on links.
func (c *carrier) log() *zap.Logger { return c.m.journal.controller("network.AddressSpecController") }

// etcdClient is the machine's own client of its member, for as long as the
// machine runs; a worker has none.
type etcdClient struct{ client *clientv3.Client }

func (s *secretFiles) etcdClient() (*etcdClient, error) {
	client, err := etcd.Client(s.etcd)
	return &etcdClient{client: client}, err
}

func (c *etcdClient) get() (*clientv3.Client, error) {
	if c.client == nil {
		return nil, errors.New("this node has no etcd")
	}
	return c.client, nil
}

// health reads the key "health" by consensus, as Talos's health check does.
func (c *etcdClient) health(ctx context.Context) (uint64, error) {
	resp, err := c.client.Get(ctx, "health")
	if err != nil {
		return 0, err
	}
	return resp.Header.GetMemberId(), nil
}

// readiness returns the kubelet's probe of the apiserver.
func readiness(m *machine, s *secretFiles) func(context.Context) error {
	var client *http.Client // made at the first probe, which comes before any other
	url := "https://" + netip.AddrPortFrom(m.cfg.Addr.Addr(), apiserver.Port).String() + "/readyz"
	return func(ctx context.Context) error {
		if client == nil {
			tls, err := s.apiserver.ClientTLS()
			if err != nil {
				return err
			}
			client = &http.Client{Transport: &http.Transport{TLSClientConfig: tls}}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // only the status counts
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil
	}
}

//go:build linux

package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/talosapi"
)

// api is the machine's Talos API, as the service apid.
type api struct {
	m  *machine
	mu sync.Mutex // guards close
	// close stops it; nil while it is not up.
	close func()
	// trouble outlives its stops and starts.
	trouble *talosapi.Trouble
}

func (a *api) start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	stop, err := a.m.parts.listen(a.m)
	if err != nil {
		return err
	}
	a.close = stop
	a.m.services.start("apid")
	return nil
}

func (a *api) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.close != nil {
		a.close()
		a.close = nil
	}
}

// apiListener returns how a machine's API is served on port 50000 of every
// address.
func apiListener(server, proxy *tls.Config, member func() (*clientv3.Client, error), local func(netip.Addr) bool) func(*machine) (func(), error) {
	return func(m *machine) (func(), error) {
		s, err := talosapi.New(m.apiConfig(server, proxy, member, local))
		if err != nil {
			return nil, err
		}
		ln, err := m.api.trouble.Listen(func() (net.Listener, error) { return net.Listen("tcp", fmt.Sprintf(":%d", talosapi.Port)) })
		if err != nil {
			s.Stop()
			return nil, err
		}
		go func() {
			if err := s.Serve(ln); err != nil {
				m.log.Printf("serve the Talos API: %v", err)
			}
		}()
		return s.Stop, nil
	}
}

func (m *machine) apiConfig(server, proxy *tls.Config, member func() (*clientv3.Client, error), local func(netip.Addr) bool) talosapi.Config {
	return talosapi.Config{
		Hostname: os.Hostname, TalosVersion: m.cfg.TalosVersion, BootTime: m.boot.Time, BootID: m.boot.ID,
		State: m.state, Events: m.events, Logs: m.journal.logs, Sequencer: m, Services: apiServices{m}, Etcd: member,
		EtcdCluster: m.etcdCluster, Kubeconfig: m.kubeconfig, Capture: capture,
		ServerTLS: server, ProxyTLS: proxy, Worker: m.cfg.Worker,
		Maintenance: m.maintenance, Trouble: m.api.trouble, Clock: m.clock,
		IsLocal: func(target string) bool {
			if target == m.cfg.Name || target == "localhost" {
				return true
			}
			ip, err := netip.ParseAddr(strings.Trim(target, "[]"))
			return err == nil && local(ip)
		},
	}
}

// apiServices answers the API for the machine's services.
type apiServices struct{ m *machine }

// List returns the services.
func (s apiServices) List() []*machineapi.ServiceInfo { return s.m.services.list() }

// RestartKubelet restarts the kubelet.
func (s apiServices) RestartKubelet() error {
	if s.m.sequencer.goingDown() {
		return errors.New("service \"kubelet\" can't be restarted: the machine is going down")
	}
	s.m.kubelet.restart()
	return nil
}

// StartKubelet starts a kubelet that does not run.
func (s apiServices) StartKubelet() error {
	if s.m.sequencer.goingDown() {
		return errors.New("service \"kubelet\" can't be started: the machine is going down")
	}
	s.m.kubelet.start()
	return nil
}

// EndEtcd sends etcd a SIGTERM behind machined's back.
func (s apiServices) EndEtcd() error { return s.m.etcd.signal(syscall.SIGTERM) }

// etcdCluster returns a way to a client of all control planes' members, as
// Talos asks where its own member may be down: a new one each time, so that a
// node that is gone is not asked over an old connection.
func (s *secretFiles) etcdCluster(peers []Peer) func() (*clientv3.Client, error) {
	var endpoints []string
	for _, p := range peers {
		endpoints = append(endpoints, etcd.ClientURL(p.Addr))
	}
	return func() (*clientv3.Client, error) { return etcd.Client(s.etcd, endpoints...) }
}

// kubeconfig makes a new administrator's kubeconfig, for the cluster's endpoint.
func (m *machine) kubeconfig() ([]byte, error) {
	cluster, err := pki.ReadFile(m.cfg.Secrets)
	if err != nil {
		return nil, err
	}
	return cluster.Kubeconfig(m.cfg.Cluster, m.cfg.endpoint())
}

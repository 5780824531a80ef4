//go:build linux

package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	clientv3 "go.etcd.io/etcd/client/v3"

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
func apiListener(server, proxy *tls.Config, etcd func() (*clientv3.Client, error), local func(netip.Addr) bool) func(*machine) (func(), error) {
	return func(m *machine) (func(), error) {
		s, err := talosapi.New(m.apiConfig(server, proxy, etcd, local))
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

func (m *machine) apiConfig(server, proxy *tls.Config, etcd func() (*clientv3.Client, error), local func(netip.Addr) bool) talosapi.Config {
	return talosapi.Config{
		Hostname: m.cfg.Name, TalosVersion: m.cfg.TalosVersion, BootTime: m.boot.Time, BootID: m.boot.ID,
		State: m.state, Events: m.events, Sequencer: m, Services: apiServices{m}, Etcd: etcd,
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

// RestartKubelet restarts the kubelet in the background.
func (s apiServices) RestartKubelet() error {
	if s.m.sequencer.goingDown() {
		return errors.New("service \"kubelet\" can't be restarted: the machine is going down")
	}
	go s.m.kubelet.restart()
	return nil
}

//go:build linux

// Package apiserver is the stand-in for a node's kube-apiserver: HTTPS on
// :6443 with the node's own certificate, whose health is that of the node's
// own etcd. Clients are known by certificates of the Kubernetes authority;
// anybody else gets 401, as on Talos, which turns anonymous access off.
//
// It serves nodes, namespaces, services, pods, endpoints, events, config maps,
// leases and endpoint slices as kubectl and client-go use them, in JSON and as
// tables, with optimistic concurrency and watches by etcd's revisions. It has
// no admission, no defaults, no validation but of names, no server-side apply,
// and finalizers hold nothing up: what is deleted is gone.
package apiserver

import (
	"fmt"
	"net/netip"
	"os/exec"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

// Port is where Kubernetes' API listens on Talos.
const Port = 6443

// Config is one node's API server.
type Config struct {
	Node string     `json:"node"`
	Addr netip.Addr `json:"addr"` // of the node
	// VIPs are the addresses whose first connection is recorded.
	VIPs  []netip.Addr       `json:"vips"`
	Files pki.APIServerFiles `json:"files"`
	Etcd  pki.EtcdFiles      `json:"etcd"`
	// KubernetesVersion is what /version says: "v1.36.3".
	KubernetesVersion string `json:"kubernetesVersion"`
	// Listen defaults to port 6443 of all addresses; EtcdEndpoint to
	// etcd.LocalEndpoint.
	Listen       string `json:"listen,omitempty"`
	EtcdEndpoint string `json:"etcdEndpoint,omitempty"`
	// UnreadyFile, while a file of that name exists, makes /readyz fail, and
	// nothing else: the server is there and answers.
	UnreadyFile string `json:"unreadyFile,omitempty"`
}

// Command writes cfg to configPath and returns the command, not yet started,
// that runs the API server as a child. The caller sets ExtraFiles.
func Command(cfg Config, configPath string) (*exec.Cmd, error) {
	return process.Configured(process.APIServer, configPath, cfg)
}

func (c Config) listen() string {
	if c.Listen == "" {
		return fmt.Sprintf(":%d", Port)
	}
	return c.Listen
}

// advertised is the address that discovery names.
func (c Config) advertised() string { return netip.AddrPortFrom(c.Addr, Port).String() }

func (c Config) etcdEndpoint() string {
	if c.EtcdEndpoint == "" {
		return etcd.LocalEndpoint
	}
	return c.EtcdEndpoint
}

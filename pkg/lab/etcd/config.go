//go:build linux

// Package etcd runs a node's etcd: a real etcd v3.6.12 server as a process of
// its own, with mutual TLS between peers and towards clients and, as on Talos,
// etcd's default heartbeat (100 ms) and election timeout (1000 ms).
package etcd

import (
	"net/netip"
	"net/url"
	"os/exec"
	"strings"

	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

// The ports of etcd (IANA).
const (
	ClientPort = 2379
	PeerPort   = 2380
)

// Config is one member of an etcd cluster: where it runs, and with whom.
type Config struct {
	Name string `json:"name"` // host name, which Talos makes the member's name
	// Dir is the data directory. A member whose log is there already starts
	// from it and ignores Peers.
	Dir   string        `json:"dir"`
	Addr  netip.Addr    `json:"addr"`
	Peers []Peer        `json:"peers"` // the initial cluster, this member included
	Files pki.EtcdFiles `json:"files"`
	// ClientPort and PeerPort default to etcd's own. They let several members
	// share an address.
	ClientPort uint16 `json:"clientPort,omitempty"`
	PeerPort   uint16 `json:"peerPort,omitempty"`
	// Join says that Peers are the members of a cluster that runs, which this
	// member, added beforehand, joins with an empty data directory.
	Join bool `json:"join,omitempty"`
}

// Peer is a member of the initial cluster.
type Peer struct {
	Name string     `json:"name"`
	Addr netip.Addr `json:"addr"`
	Port uint16     `json:"port,omitempty"` // 0 is PeerPort
}

// Command writes cfg to configPath and returns the command, not yet started,
// that runs the member as a child. The caller sets ExtraFiles.
func Command(cfg Config, configPath string) (*exec.Cmd, error) {
	return process.Configured(process.Etcd, configPath, cfg)
}

// PeerURL is where the member at the address expects its peers.
func PeerURL(addr netip.Addr) string {
	u := Peer{Addr: addr}.url()
	return u.String()
}

// ClientURL is where the member at the address expects its clients.
func ClientURL(addr netip.Addr) string {
	u := httpsURL(addr, 0, ClientPort)
	return u.String()
}

// clientURL is where the member tells clients to ask.
func (c Config) clientURL() url.URL { return httpsURL(c.Addr, c.ClientPort, ClientPort) }

// localURL is where clients on the node ask.
func (c Config) localURL() url.URL {
	return httpsURL(netip.AddrFrom4([4]byte{127, 0, 0, 1}), c.ClientPort, ClientPort)
}

func (p Peer) url() url.URL { return httpsURL(p.Addr, p.Port, PeerPort) }

func (c Config) peerURL() url.URL {
	return Peer{Name: c.Name, Addr: c.Addr, Port: c.PeerPort}.url()
}

// initialCluster is etcd's flag of that name: NAME=URL,...
func (c Config) initialCluster() string {
	members := make([]string, 0, len(c.Peers))
	for _, p := range c.Peers {
		u := p.url()
		members = append(members, p.Name+"="+u.String())
	}
	return strings.Join(members, ",")
}

func httpsURL(addr netip.Addr, port, otherwise uint16) url.URL {
	if port == 0 {
		port = otherwise
	}
	return url.URL{Scheme: "https", Host: netip.AddrPortFrom(addr, port).String()}
}

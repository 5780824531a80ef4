// Package fleet is the APIs of many control planes in one process, as light as
// they can be: mutual TLS, the Talos API's own services and resources, and the
// kube-apiserver's certificate, but no etcd, no election and no machine below.
// Nothing changes, and every node is well. It is there to measure a client.
package fleet

import (
	"fmt"
	"net/netip"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// TalosVersion is what every node says it is.
const TalosVersion = "v1.13.9"

// Prefix holds the addresses of every fleet: with it on its loopback a network
// namespace can serve one, for the kernel takes all of them for its own.
var Prefix = netip.MustParsePrefix("10.255.255.254/8")

// most is how many clusters have addresses below Prefix.
const most = 255 * 256

// Cluster is one control plane.
type Cluster struct {
	// Name is that of its context: "cluster-0001".
	Name string
	// Nodes are called "cluster-0001-cp-1" and so on.
	Nodes []Node
	// VIP is held by the node at Owner.
	VIP   netip.Addr
	Owner int
}

// Node is one control-plane node.
type Node struct {
	Name string
	Addr netip.Addr
}

// Plan lays out clusters of three nodes; what is left over of nodes makes the
// first ones greater. It needs three nodes at least.
func Plan(nodes int) ([]Cluster, error) {
	if nodes < 3 || nodes/3 > most {
		return nil, fmt.Errorf("a fleet has %d to %d nodes, not %d", 3, 3*most+2, nodes)
	}
	clusters := make([]Cluster, nodes/3)
	for i := range clusters {
		addr := func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), host}) }
		c := Cluster{Name: fmt.Sprintf("cluster-%04d", i+1), VIP: addr(50)}
		size := 3
		if i < nodes%3 {
			size++
		}
		for n := range size {
			c.Nodes = append(c.Nodes, Node{fmt.Sprintf("%s-cp-%d", c.Name, n+1), addr(byte(2 + n))})
		}
		c.Owner = i % size
		clusters[i] = c
	}
	return clusters, nil
}

// Fleet serves the APIs of clusters, from Serve to Close.
type Fleet struct {
	nodes       []*apis
	talosconfig *clientconfig.Config
}

// Serve makes the clusters' authorities and certificates and answers on every
// address, until Close.
func Serve(clusters []Cluster) (*Fleet, error) {
	f := &Fleet{talosconfig: &clientconfig.Config{Contexts: map[string]*clientconfig.Context{}}}
	for i := range clusters {
		if err := f.serve(&clusters[i]); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", clusters[i].Name, err)
		}
	}
	return f, nil
}

func (f *Fleet) serve(c *Cluster) error {
	secrets, err := pki.New(TalosVersion, time.Now())
	if err != nil {
		return err
	}
	var endpoints []string
	for i, n := range c.Nodes {
		s, err := serveNode(secrets, c, i)
		if err != nil {
			return err
		}
		f.nodes = append(f.nodes, s)
		endpoints = append(endpoints, n.Addr.String())
	}
	data, err := secrets.Talosconfig(c.Name, endpoints, nil, "os:reader", 24*time.Hour)
	if err != nil {
		return err
	}
	one, err := clientconfig.FromBytes(data)
	if err != nil {
		return err
	}
	f.talosconfig.Context = c.Name
	f.talosconfig.Contexts[c.Name] = one.Contexts[c.Name]
	return nil
}

// Talosconfig returns a talosconfig with a context of each cluster, for readers.
func (f *Fleet) Talosconfig() ([]byte, error) { return f.talosconfig.Bytes() }

// Close ends everything.
func (f *Fleet) Close() {
	for _, n := range f.nodes {
		n.close()
	}
}

//go:build linux

package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

const (
	// DefaultTTL is the election lease of Talos: the default of etcd's
	// concurrency package, kept alive every third of it.
	DefaultTTL = 60 * time.Second
	// retryInterval is the pause after a failed campaign (Talos v1.13.9,
	// network/operator/vip.go).
	retryInterval = time.Second
	// cleanupTimeout is what the resignation and the revocation may take, each
	// (Talos v1.13.9, internal/pkg/etcd/session.go).
	cleanupTimeout = 10 * time.Second
)

// Config is one VIP on one node.
type Config struct {
	VIP  netip.Addr
	Link string // that carries the VIP
	// Hostname returns what the node writes into the election. It is asked at
	// each campaign, so that a node that was renamed campaigns by its new name.
	Hostname func() (string, error)
	// TTL of the lease, in whole seconds; 0 is DefaultTTL. etcd raises less
	// than 2 s to 2 s.
	TTL time.Duration
	// Client returns a client of the node's own etcd. The operator closes it.
	Client func(context.Context) (*clientv3.Client, error)
	Gate   Gate
	Truth  truth.Recorder
	// Kernel carries the address; nil is the kernel of this process's network
	// namespace (Linux only).
	Kernel Kernel
	// LeavesLease makes a campaign that is stopped while it waits leave its key
	// and its lease behind, as Talos did before v1.12.11 and v1.13.8.
	LeavesLease bool
	// Log takes the lines that Talos's operator logs; nil discards them.
	Log *slog.Logger
}

// Kernel adds and removes the VIP on the link and announces it.
type Kernel interface {
	// AddAddress adds the address with global scope, no broadcast address and
	// no route. fs.ErrExist says that the link has it already.
	AddAddress(prefix netip.Prefix) error
	// RemoveAddress removes the address. fs.ErrNotExist says that the address
	// or the link is gone already.
	RemoveAddress(prefix netip.Prefix) error
	// Announce sends one gratuitous ARP for an IPv4 address.
	Announce(ip netip.Addr) error
}

// ElectionPrefix is the prefix of the election's keys in etcd; each candidate's
// key is the prefix, a slash and its lease ID in lower-case hex.
func ElectionPrefix(vip netip.Addr) string { return "talos:v1:vip:election:" + vip.String() }

// withDefaults returns the configuration with its zero values filled in, or
// what is missing.
func (c Config) withDefaults() (Config, error) {
	switch {
	case !c.VIP.IsValid():
		return c, errors.New("operator has no VIP")
	case c.Hostname == nil, c.Client == nil, c.Gate == nil, c.Truth == nil:
		return c, errors.New("operator needs a host name, an etcd client, a gate and a recorder")
	}
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.TTL < time.Second || c.TTL%time.Second != 0 {
		return c, fmt.Errorf("lease TTL %v is not a number of whole seconds", c.TTL)
	}
	if c.Kernel == nil {
		c.Kernel = NewKernel(c.Link)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("link", c.Link, "ip", c.VIP.String())
	return c, nil
}

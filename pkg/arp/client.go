// Package arp is the segment as this machine sees it: which hardware addresses
// answer for an address on the wire, by ARP (IPv4, RFC 826) or by neighbour
// discovery (IPv6, RFC 4861), and what the kernel's neighbour table has of it.
//
// Only an address on a segment of this machine can be asked for, and a question
// is sent on that segment only. Both work on Linux; elsewhere both say so.
package arp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Options say how long to listen. The zero value is what serves on any network.
type Options struct {
	// Silence is how long to listen while nobody answers, 0 for 250 ms. Too
	// short, and a slow machine is taken for nobody.
	Silence time.Duration
	// Linger is how long to go on listening after the first answer, 0 for 60 ms.
	// Too short, and a second machine that has the address goes unseen.
	Linger time.Duration
}

// Client asks the wire, and the kernel. It keeps nothing between questions, and
// may be used by several goroutines.
type Client struct {
	opts Options
	open func(netip.Addr) (wire, error)
}

// New returns a client. It opens nothing yet: rights are looked at with each
// question.
func New(opts Options) *Client {
	if opts.Silence <= 0 {
		opts.Silence = silence
	}
	if opts.Linger <= 0 {
		opts.Linger = linger
	}
	return &Client{opts: opts, open: open}
}

// WhoHas asks the segment who has the address, and returns every hardware
// address that said so within the window, in the order of their first answers;
// none where nobody did. What others announce of the address meanwhile counts
// as an answer: a gratuitous ARP, or an unsolicited advertisement.
//
// A hardware address that is returned did answer. One that is not returned may
// have been slow, or its frames lost: an empty list is weak evidence. Nor does a
// machine answer for an IPv6 address that it has just taken until its kernel
// has looked for duplicates, which takes one to two seconds.
//
// It takes the window of Options, and some 10 ms for the kernel to close the
// socket. It ends early with ctx: then with what was heard so far, or with an
// error where nothing was. The error is a *NotOnSegmentError, a *HereError or a
// *CapabilityError where nothing was sent.
//
// The kernel hears the answers too, and by them corrects an entry of its
// neighbour table that is older than a second. Only before WhoHas is a stale
// entry sure to be seen.
func (c *Client) WhoHas(ctx context.Context, addr netip.Addr) ([]cluster.ARPReply, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s was not asked for: %w", addr, err)
	}
	w, err := c.open(addr.Unmap())
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }()
	return listen(ctx, w, c.opts)
}

// Neighbour reads the kernel's entry for the address; no right is needed. It
// says where this machine's own frames for the address go, and is empty where
// the machine has sent none lately, which says nothing of who has the address:
// then read it again after something has talked to it. The error is a
// *NotOnSegmentError or a *HereError where the kernel can have no entry.
func (c *Client) Neighbour(addr netip.Addr) (cluster.Neighbour, error) {
	return neighbour(addr.Unmap())
}

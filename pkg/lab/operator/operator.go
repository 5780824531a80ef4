//go:build linux

package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// operator is the state of one VIP on one node between campaigns.
type operator struct {
	Config
	name string // the node's, as of this campaign
	// carrying says that the link has the address because we added it, or
	// found it when we won.
	carrying bool
}

// Run campaigns for the VIP until ctx ends, again at once after a give-up and
// after a second when something failed. It returns nil when ctx ended and the
// address is gone from the link.
//
// The end of ctx is what stops Talos's operator: the link went down, the
// configuration changed. Then the address stays until the resignation is done
// or has run out of time, up to 20 s when etcd does not answer. In every other
// give-up the address goes first.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	o := &operator{Config: cfg}
	for ctx.Err() == nil {
		err := o.campaign(ctx)
		// What a give-up left on the link: the address, when ctx ended or
		// when the kernel would not let it go.
		err = errors.Join(err, o.dropAddress())
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			o.Log.Warn("campaign failure", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
	return o.dropAddress()
}

// prefix is the address as the link carries it: /32 or /128.
func (o *operator) prefix() netip.Prefix { return netip.PrefixFrom(o.VIP, o.VIP.BitLen()) }

// takeAddress adds the address and announces it: one gratuitous ARP for IPv4,
// nothing for IPv6. An address that is there already is not announced.
//
// The instant of AddressAdded is read after the kernel's answer and so errs
// late, by the way back from the kernel.
func (o *operator) takeAddress() error {
	err := o.Kernel.AddAddress(o.prefix())
	present := errors.Is(err, fs.ErrExist)
	if err != nil && !present {
		return fmt.Errorf("add %v to %s: %w", o.prefix(), o.Link, err)
	}
	o.carrying = true
	if present {
		return nil
	}
	o.record(truth.AddressAdded, o.prefix().String())
	if !o.VIP.Is4() {
		return nil
	}
	if err := o.Kernel.Announce(o.VIP); err != nil {
		o.Log.Warn("failure sending gratuitous ARP", "error", err)
		return nil
	}
	o.record(truth.ARPSent, o.VIP.String())
	o.Log.Info("sent gratuitous ARP")
	return nil
}

// dropAddress removes the address if the operator carries it.
//
// The instant of AddressRemoved is read before the kernel is asked and so
// errs early, by the way to the kernel: nothing was lost before it, and what
// is lost after it is the removal's doing.
func (o *operator) dropAddress() error {
	if !o.carrying {
		return nil
	}
	at := truth.Now()
	err := o.Kernel.RemoveAddress(o.prefix())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %v from %s: %w", o.prefix(), o.Link, err)
	}
	o.carrying = false
	if err == nil {
		o.Truth.Record(truth.Event{At: at, Kind: truth.AddressRemoved, Detail: o.prefix().String()})
	}
	return nil
}

func (o *operator) record(kind truth.Kind, detail string) {
	o.Truth.Record(truth.Event{At: truth.Now(), Kind: kind, Detail: detail})
}

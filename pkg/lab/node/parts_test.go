//go:build linux

package node

import (
	"io"
	"io/fs"
	"log"
	"net/netip"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/resources/network"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// fakeKernel says what it is told to.
type fakeKernel struct{ add, remove error }

func (k fakeKernel) AddAddress(netip.Prefix) error    { return k.add }
func (k fakeKernel) RemoveAddress(netip.Prefix) error { return k.remove }
func (k fakeKernel) Announce(netip.Addr) error        { return nil }

func TestOwnerOfALeftoverAddressHasItsSpec(t *testing.T) {
	prefix := netip.MustParsePrefix("10.5.0.50/32")
	for name, row := range map[string]struct {
		kernel      fakeKernel
		owned, left bool // after it was added, after it was removed
	}{
		"it added and removed it": {fakeKernel{}, true, false},
		"it was there already":    {fakeKernel{add: fs.ErrExist}, true, false},
		"it was gone already":     {fakeKernel{remove: fs.ErrNotExist}, true, false},
		"the kernel refused":      {fakeKernel{add: fs.ErrPermission}, false, false},
		"the kernel keeps it":     {fakeKernel{remove: fs.ErrPermission}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := newMachine(Config{Link: "eth0"}, &truth.Log{}, log.New(io.Discard, "", 0), bootMark{})
			if err != nil {
				t.Fatal(err)
			}
			_, merged, _ := m.addressSpecs(prefix, network.ConfigOperator)
			c := &carrier{Kernel: row.kernel, m: m}
			_ = c.AddAddress(prefix) // its error is the kernel's
			if got := exists(m, merged.Metadata()); got != row.owned {
				t.Errorf("AddressSpec after AddAddress: %v; want %v", got, row.owned)
			}
			_ = c.RemoveAddress(prefix)
			if got := exists(m, merged.Metadata()); got != row.left {
				t.Errorf("AddressSpec after RemoveAddress: %v; want %v", got, row.left)
			}
		})
	}
}

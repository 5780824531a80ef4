package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RebootMode is how a node is asked to reboot.
type RebootMode string

// The modes of Talos's Reboot call.
const (
	// Graceful stops the pods first; the VIP is released in the first step.
	Graceful RebootMode = "graceful"
	// Powercycle is Graceful without kexec: for the VIP the two are alike.
	Powercycle RebootMode = "powercycle"
	// Force skips the graceful steps. It is abrupt, but no power cut: services
	// still get a signal. Talos knows it from v1.12.0-beta.0 on.
	Force RebootMode = "force"
)

// Rebooter asks one node to reboot. Reboot returns when the request was
// accepted.
type Rebooter interface {
	Reboot(ctx context.Context, mode RebootMode) error
}

// BootTimer is a Rebooter that knows when its node booted. With it, a reboot
// knows when it has landed.
type BootTimer interface {
	BootTime(ctx context.Context) (time.Time, error)
}

// Reboot reboots a node through its own API. The node comes back by itself.
type Reboot struct {
	Mode     RebootMode
	Rebooter Rebooter
	// Version is the node's Talos version ("v1.13.9"). Only Force needs it.
	Version string

	booted time.Time // when the node had booted before the fault
}

// Name is "reboot (graceful)" and the like.
func (f *Reboot) Name() string { return fmt.Sprintf("reboot (%s)", f.Mode) }

// Available refuses Force where the node's Talos does not know it: an older
// one silently does a graceful reboot instead, and the drill would be called
// what it is not. It notes the boot time.
func (f *Reboot) Available(ctx context.Context) error {
	if f.Mode == Force && !knowsForce(f.Version) {
		return &UnavailableError{
			Fault:  f.Name(),
			Reason: fmt.Sprintf("the node runs Talos %q, which would reboot gracefully instead", f.Version),
			Remedy: "use --mode graceful, or --mode hard with a power switch; forced reboots need Talos 1.12 or later",
		}
	}
	timer, ok := f.Rebooter.(BootTimer)
	if !ok {
		return nil
	}
	booted, err := timer.BootTime(ctx)
	f.booted = booted
	return err
}

// Inject sends the request.
func (f *Reboot) Inject(ctx context.Context) error { return f.Rebooter.Reboot(ctx, f.Mode) }

// Recover does nothing: the node comes back by itself.
func (f *Reboot) Recover(context.Context) error { return nil }

// Landed answers nil once the node has booted anew. Where the Rebooter is no
// BootTimer, or Available was not asked, it cannot be told and the answer is
// nil.
func (f *Reboot) Landed(ctx context.Context) error {
	timer, ok := f.Rebooter.(BootTimer)
	if !ok || f.booted.IsZero() {
		return nil
	}
	booted, err := timer.BootTime(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("waiting for the node to reboot: %w", err)
	case booted.Equal(f.booted):
		return errors.New("the node has not rebooted yet")
	default:
		return nil
	}
}

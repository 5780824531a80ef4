//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/talosapi"
)

// The troubles of the Talos API, and of the clock that it tells.
const (
	faultAPIHang        = "api-hang"         // takes connections and never answers
	faultAPIRefuse      = "api-refuse"       // the port is closed
	faultAPIGarbage     = "api-garbage"      // answers with bytes that mean nothing
	faultAPIDrip        = "api-drip"         // answers a few bytes a second
	faultAPIOversize    = "api-oversize"     // answers with more than clients take
	faultAPIExpiredCert = "api-expired-cert" // its certificate expired
	faultAPIForeignCert = "api-foreign-cert" // its certificate is of another cluster
	faultAPIWrongName   = "api-wrong-name"   // its certificate names no node
	faultClockSkew      = "clock-skew"       // the node's clock is off
)

const (
	argAfter  = "after"  // accept, or handshake
	argOffset = "offset" // of the clock; negative for one that is behind
)

// apiTable returns the faults of the Talos API, of the clock, and of the
// configuration as a whole: those that a node of any kind can do, also without
// a configuration.
func (f *faults) apiTable() map[string]nodeFault {
	return map[string]nodeFault{
		faultAPIHang:        f.wire((*talosapi.Trouble).Hang),
		faultAPIGarbage:     f.wire((*talosapi.Trouble).Garbage),
		faultAPIDrip:        f.wire((*talosapi.Trouble).Drip),
		faultAPIRefuse:      either(func(on bool, _ faultArgs) error { return f.m.api.trouble.Refuse(on) }),
		faultAPIOversize:    toggle(f.m.api.trouble.Oversize),
		faultAPIExpiredCert: f.present(faultAPIExpiredCert),
		faultAPIForeignCert: f.present(faultAPIForeignCert),
		faultAPIWrongName:   f.present(faultAPIWrongName),
		faultClockSkew:      either(f.skew),
		faultMaintenance:    either(func(on bool, _ faultArgs) error { return f.setMaintenance(on) }),
	}
}

// either is a fault whose injection and undoing are one function.
func either(set func(on bool, args faultArgs) error) nodeFault {
	return nodeFault{
		inject: func(_ context.Context, args faultArgs) error { return set(true, args) },
		undo:   func(_ context.Context, args faultArgs) error { return set(false, args) },
	}
}

// wire is a trouble of the API's connections, from a stage on.
func (f *faults) wire(set func(*talosapi.Trouble, talosapi.Stage, bool)) nodeFault {
	return either(func(on bool, args faultArgs) error {
		from, err := stage(args[argAfter])
		if err == nil {
			set(f.m.api.trouble, from, on)
		}
		return err
	})
}

// stage reads from when on connections are in trouble.
func stage(after string) (talosapi.Stage, error) {
	switch after {
	case "", "accept":
		return talosapi.FromAccept, nil
	case "handshake":
		return talosapi.FromHandshake, nil
	}
	return 0, fmt.Errorf("after is %q: want accept or handshake", after)
}

// present lets the API show a certificate that a client must not believe.
func (f *faults) present(fault string) nodeFault {
	t := f.m.api.trouble
	return either(func(on bool, _ faultArgs) error {
		switch {
		case !on:
			t.Present(nil)
			return nil
		case f.m.maintenance:
			return errInMaintenance
		case t.Presents():
			return errors.New("the Talos API shows another certificate than its own already")
		}
		cert, err := f.m.falseCertificate(fault)
		if err == nil {
			t.Present(&cert)
		}
		return err
	})
}

// expiredFor is how long ago the expired certificate was valid.
const expiredFor = 24 * time.Hour

// falseCertificate issues the certificate of a fault.
func (m *machine) falseCertificate(fault string) (tls.Certificate, error) {
	cluster, err := pki.ReadFile(m.cfg.Secrets)
	if err != nil {
		return tls.Certificate{}, err
	}
	name, addrs, ttl := m.cfg.Name, slices.Concat([]netip.Addr{m.cfg.Addr.Addr()}, m.cfg.AllVIPs), time.Hour
	switch fault {
	case faultAPIExpiredCert:
		ttl = -expiredFor
	case faultAPIWrongName:
		name, addrs = "", nil
	case faultAPIForeignCert:
		if cluster, err = pki.New(m.cfg.TalosVersion, time.Now()); err != nil {
			return tls.Certificate{}, err
		}
	}
	return cluster.TalosServerCertificate(name, addrs, ttl)
}

// skew puts the clock of the node wrong, or right again: what the API says of
// the time, when events and services' changes happened, and so when the node
// booted. Certificates and leases go by the clock of the lab's machine.
func (f *faults) skew(on bool, args faultArgs) error {
	if !on {
		f.m.clock.Set(0)
		return nil
	}
	offset, err := time.ParseDuration(args[argOffset])
	if err != nil {
		return fmt.Errorf("offset is %q: want a duration such as 90s or -2m", args[argOffset])
	}
	if offset == 0 {
		return errors.New("offset is 0: the clock would be right")
	}
	f.m.clock.Set(offset)
	return nil
}

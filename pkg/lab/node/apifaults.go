//go:build linux

package node

import (
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

// setAPI injects or undoes a trouble of the API. It reports whether the fault
// is one.
func (f *faults) setAPI(o Order) (known bool, err error) {
	t := f.m.api.trouble
	from, stageErr := stage(o.Args[argAfter])
	switch o.Fault {
	case faultAPIHang, faultAPIGarbage, faultAPIDrip:
		if stageErr != nil {
			return true, stageErr
		}
	}
	switch o.Fault {
	case faultAPIHang:
		t.Hang(from, o.On)
	case faultAPIGarbage:
		t.Garbage(from, o.On)
	case faultAPIDrip:
		t.Drip(from, o.On)
	case faultAPIRefuse:
		return true, t.Refuse(o.On)
	case faultAPIOversize:
		t.Oversize(o.On)
	case faultAPIExpiredCert, faultAPIForeignCert, faultAPIWrongName:
		return true, f.present(o)
	case faultClockSkew:
		return true, f.skew(o)
	default:
		return false, nil
	}
	return true, nil
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

// present lets the API show a certificate that a client must not believe, or
// its own again.
func (f *faults) present(o Order) error {
	t := f.m.api.trouble
	switch {
	case !o.On:
		t.Present(nil)
		return nil
	case f.m.maintenance:
		return errInMaintenance
	case t.Presents():
		return errors.New("the Talos API shows another certificate than its own already")
	}
	cert, err := f.m.falseCertificate(o.Fault)
	if err != nil {
		return err
	}
	t.Present(&cert)
	return nil
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
func (f *faults) skew(o Order) error {
	if !o.On {
		f.m.clock.Set(0)
		return nil
	}
	offset, err := time.ParseDuration(o.Args[argOffset])
	if err != nil {
		return fmt.Errorf("offset is %q: want a duration such as 90s or -2m", o.Args[argOffset])
	}
	if offset == 0 {
		return errors.New("offset is 0: the clock would be right")
	}
	f.m.clock.Set(offset)
	return nil
}

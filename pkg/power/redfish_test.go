package power

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// client returns the switch of srv with good credentials and its certificate.
func client(t *testing.T, srv *httptest.Server) *Redfish {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return &Redfish{URL: srv.URL, Username: user, Password: func() (string, error) { return password, nil }, CAFile: ca}
}

func TestRedfishSwitches(t *testing.T) {
	b := newBMC("1")
	r := client(t, b.start(t))
	for _, step := range []struct {
		do   Action
		want State
	}{
		{ForceOff, StateOff},
		{ForceOff, StateOff}, // done already: nothing is sent
		{On, StateOn},
		{On, StateOn},
		{PowerCycle, StateOn}, // always sent
		{PowerCycle, StateOn},
		{GracefulShutdown, StateOff},
	} {
		if err := r.Do(t.Context(), step.do); err != nil {
			t.Fatalf("Do(%s) = %v", step.do, err)
		}
		if got, err := r.State(t.Context()); err != nil || got != step.want {
			t.Errorf("after Do(%s): State = %q, %v; want %q", step.do, got, err, step.want)
		}
	}
	want := []string{"1 ForceOff", "1 On", "1 PowerCycle", "1 PowerCycle", "1 GracefulShutdown"}
	if got := b.resets(); !slices.Equal(got, want) {
		t.Errorf("the BMC was sent %q; want %q", got, want)
	}
}

func TestRedfishSwitchesTheNamedSystemOnly(t *testing.T) {
	b := newBMC("blade-1", "blade-2")
	r := client(t, b.start(t))
	r.SystemID = "blade-2"
	if err := r.Do(t.Context(), ForceOff); err != nil {
		t.Fatal(err)
	}
	if got, want := b.resets(), []string{"blade-2 ForceOff"}; !slices.Equal(got, want) {
		t.Errorf("the BMC was sent %q; want %q", got, want)
	}
}

func TestRedfishTakesTheStateForTheAnswer(t *testing.T) {
	b := newBMC("1")
	b.refuses = true
	r := client(t, b.start(t))
	if err := r.Do(t.Context(), ForceOff); err != nil {
		t.Errorf("Do(ForceOff), refused and yet off = %v; want nil", err)
	}
	if err := r.Do(t.Context(), ForceRestart); err == nil {
		t.Error("Do(ForceRestart), refused = nil; no state can excuse that")
	}
}

func TestRedfishErrors(t *testing.T) {
	wrong := func() (string, error) { return "not-the-" + password, nil }
	tests := []struct {
		name    string
		systems []string
		bmc     func(*bmc)
		client  func(*Redfish)
		do      Action
		want    string // in the error
		hint    string // in the hint
	}{
		{name: "wrong password", client: func(r *Redfish) { r.Password = wrong }, do: ForceOff,
			want: "HTTP 401 Unauthorized: no valid session", hint: "check username and password"},
		{name: "no password", client: func(r *Redfish) { r.Password = nil }, do: ForceOff,
			want: "HTTP 401", hint: "check username and password"},
		{name: "password that cannot be read", do: On,
			client: func(r *Redfish) {
				r.Password = func() (string, error) { return "", errors.New("BMC_PASSWORD is not set") }
			},
			want: "BMC_PASSWORD is not set"},
		{name: "unknown system", client: func(r *Redfish) { r.SystemID = "7" }, do: ForceOff,
			want: `no computer system "7"`, hint: "the service has 1"},
		{name: "two systems and none named", systems: []string{"1", "2"}, do: ForceOff,
			want: "2 computer systems: 1, 2", hint: "systemID"},
		{name: "ForceOff not offered", bmc: func(b *bmc) { b.offers = []string{"On", "GracefulShutdown"} }, do: ForceOff,
			want: "does not offer it", hint: "[On GracefulShutdown]"},
		{name: "unknown authority", client: func(r *Redfish) { r.CAFile = "" }, do: ForceOff,
			want: "certificate", hint: "insecureSkipVerify"},
		{name: "CA file that is not there", client: func(r *Redfish) { r.CAFile = "/nowhere/ca.pem" }, do: ForceOff,
			want: "/nowhere/ca.pem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBMC("1")
			if tt.systems != nil {
				b = newBMC(tt.systems...)
			}
			if tt.bmc != nil {
				tt.bmc(b)
			}
			srv := b.start(t)
			r := client(t, srv)
			if tt.client != nil {
				tt.client(r)
			}
			err := r.Do(t.Context(), tt.do)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Do(%s) = %v; want an *Error", tt.do, err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), srv.URL) {
				t.Errorf("Do(%s) = %q; want it to name %q and %q", tt.do, err, srv.URL, tt.want)
			}
			if !strings.Contains(e.Hint(), tt.hint) {
				t.Errorf("hint %q; want %q in it", e.Hint(), tt.hint)
			}
			if strings.Contains(err.Error()+e.Hint(), password) {
				t.Errorf("the error tells the password: %q", err)
			}
			if got := b.resets(); len(got) > 0 {
				t.Errorf("the BMC was sent %q; want nothing", got)
			}
		})
	}
}

func TestRedfishWithoutVerification(t *testing.T) {
	r := client(t, newBMC("1").start(t))
	r.CAFile, r.InsecureSkipVerify = "", true
	if got, err := r.State(t.Context()); err != nil || got != StateOn {
		t.Errorf("State = %q, %v; want On", got, err)
	}
}

func TestRedfishGivesUpOnAHangingBMC(t *testing.T) {
	b := newBMC("1")
	b.hang = make(chan struct{})
	r := client(t, b.start(t))
	defer close(b.hang) // before the server's own cleanup waits for it
	r.Timeout = 50 * time.Millisecond
	if _, err := r.State(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("State with the switch's own limit = %v; want a deadline", err)
	}
	r.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Do(ctx, On); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Do with the caller's limit = %v; want a deadline", err)
	}
}

func TestRedfishFollowsNoRedirect(t *testing.T) {
	asked := false
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer trap.Close()
	srv := httptest.NewTLSServer(http.RedirectHandler(trap.URL, http.StatusMovedPermanently))
	defer srv.Close()
	_, err := client(t, srv).State(t.Context())
	if err == nil || !strings.Contains(err.Error(), "redirects to "+trap.URL) {
		t.Errorf("State = %v; want the redirect named", err)
	}
	if asked {
		t.Error("the other server was asked")
	}
}

// The environment's proxies are never used for loopback addresses, so a test
// by traffic could not fail.
func TestRedfishUsesNoProxy(t *testing.T) {
	c, err := new(Redfish).client()
	if err != nil {
		t.Fatal(err)
	}
	if c.Transport.(*http.Transport).Proxy != nil {
		t.Error("the client asks for a proxy")
	}
}

func TestErrorHidesAPasswordInTheURL(t *testing.T) {
	r := &Redfish{URL: "http://root:" + password + "@127.0.0.1:1"}
	if _, err := r.State(t.Context()); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("State = %v; want an error without the password", err)
	}
}

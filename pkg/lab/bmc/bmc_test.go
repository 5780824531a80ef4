package bmc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
)

// machine is on or off, and remembers what was done to it.
type machine struct {
	mu     sync.Mutex // guards following
	on     bool
	resets []ResetType
}

func (m *machine) Power() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on
}

func (m *machine) Reset(_ context.Context, kind ResetType) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resets = append(m.resets, kind)
	m.on = kind != ForceOff && kind != GracefulShutdown
	return nil
}

func TestRedfishClient(t *testing.T) {
	for _, basic := range []bool{true, false} {
		m := &machine{on: true}
		server := httptest.NewServer(New("cp-1", m, "admin", "secret"))
		t.Cleanup(server.Close)
		client, err := gofish.ConnectContext(t.Context(), gofish.ClientConfig{
			Endpoint: server.URL, Username: "admin", Password: "secret", BasicAuth: basic,
		})
		if err != nil {
			t.Fatalf("Connect(BasicAuth: %v) = %v", basic, err)
		}
		for _, kind := range []ResetType{ForceOff, On, PowerCycle} {
			system := onlySystem(t, client)
			allowed, err := system.GetSupportedResetTypes()
			if err != nil || !slices.Contains(allowed, schemas.ResetType(kind)) {
				t.Fatalf("GetSupportedResetTypes() = %v, %v; want %s among them", allowed, err, kind)
			}
			resp, err := client.Post(resetPath, map[string]any{"ResetType": kind})
			if err != nil {
				t.Fatalf("reset %s: %v", kind, err)
			}
			_ = resp.Body.Close()
			want := schemas.OnPowerState
			if kind == ForceOff {
				want = schemas.OffPowerState
			}
			if got := onlySystem(t, client).PowerState; got != want {
				t.Errorf("PowerState after %s = %s; want %s", kind, got, want)
			}
		}
		if want := []ResetType{ForceOff, On, PowerCycle}; !slices.Equal(m.resets, want) {
			t.Errorf("resets = %v; want %v", m.resets, want)
		}
		client.Logout()
	}
}

func onlySystem(t *testing.T, client *gofish.APIClient) *schemas.ComputerSystem {
	t.Helper()
	systems, err := client.GetService().Systems()
	if err != nil || len(systems) != 1 {
		t.Fatalf("Systems() = %d systems, %v; want one", len(systems), err)
	}
	return systems[0]
}

func TestRefusals(t *testing.T) {
	m := &machine{on: true}
	server := httptest.NewServer(New("cp-1", m, "admin", "secret"))
	t.Cleanup(server.Close)
	connect := func(user, password string, basic bool) (*gofish.APIClient, error) {
		return gofish.ConnectContext(t.Context(), gofish.ClientConfig{
			Endpoint: server.URL, Username: user, Password: password, BasicAuth: basic,
		})
	}
	if _, err := connect("admin", "wrong", false); err == nil {
		t.Error("a session with a wrong password was granted")
	}
	for _, who := range []struct{ user, password string }{{"admin", "wrong"}, {"", ""}, {"root", "secret"}} {
		client, err := connect(who.user, who.password, true)
		if err != nil {
			t.Fatalf("Connect as %q = %v; the root needs no rights", who.user, err)
		}
		if _, err := client.Post(resetPath, map[string]any{"ResetType": ForceOff}); err == nil {
			t.Errorf("reset as %q with password %q was allowed", who.user, who.password)
		}
	}
	client, err := connect("admin", "secret", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Post(resetPath, map[string]any{"ResetType": "Nmi"}); err == nil {
		t.Error("reset Nmi was accepted; want an error, for it is not among the allowable values")
	}
	if len(m.resets) != 0 {
		t.Errorf("resets = %v; want none", m.resets)
	}
}

func TestOldestSessionEnds(t *testing.T) {
	b := New("cp-1", &machine{}, "admin", "secret")
	ask := func(method, path, token, body string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(method, path, strings.NewReader(body)), httptest.NewRecorder()
		r.Header.Set("X-Auth-Token", token)
		b.ServeHTTP(w, r)
		return w
	}
	var tokens []string
	for range maxSessions + 1 {
		w := ask("POST", sessionsPath, "", `{"UserName": "admin", "Password": "secret"}`)
		tokens = append(tokens, w.Header().Get("X-Auth-Token"))
	}
	for what, row := range map[string]struct {
		token string
		want  int
	}{
		"the oldest": {tokens[0], http.StatusUnauthorized},
		"the second": {tokens[1], http.StatusOK},
		"the newest": {tokens[maxSessions], http.StatusOK},
	} {
		if got := ask("GET", systemPath, row.token, "").Code; got != row.want {
			t.Errorf("GET %s in %s of %d sessions = %d; want %d", systemPath, what, len(tokens), got, row.want)
		}
	}
}

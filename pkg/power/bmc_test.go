package power

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

const (
	user     = "drill"
	password = "s3cret-w0rd"
)

// bmc is a Redfish service of our own with one or more systems. The knobs are
// set before it is asked.
type bmc struct {
	ids     []string
	offers  []string // ResetType allowable values; nil says nothing about them
	hang    chan struct{}
	refuses bool // every reset is answered with 409, though it is done

	mu    sync.Mutex // guards what follows
	state map[string]string
	done  []string // the resets that arrived: "ID action"
}

func newBMC(ids ...string) *bmc {
	b := &bmc{ids: ids, offers: []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle"}, state: map[string]string{}}
	for _, id := range ids {
		b.state[id] = "On"
	}
	return b
}

// start serves b with TLS until the test ends.
func (b *bmc) start(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /redfish/v1/{$}", func(w http.ResponseWriter, r *http.Request) {
		if b.hang != nil {
			select {
			case <-b.hang:
			case <-r.Context().Done():
			}
		}
		reply(w, map[string]any{"@odata.id": "/redfish/v1/", "Id": "RootService", "Systems": link("/redfish/v1/Systems")})
	})
	mux.Handle("GET /redfish/v1/Systems", b.guarded(b.list))
	mux.Handle("GET /redfish/v1/Systems/{id}", b.guarded(b.show))
	mux.Handle("POST /redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset", b.guarded(b.reset))
	srv := httptest.NewTLSServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func (b *bmc) guarded(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			w.WriteHeader(http.StatusUnauthorized)
			reply(w, map[string]any{"error": map[string]any{"code": "Base.1.0.NoValidSession", "message": "no valid session"}})
			return
		}
		h(w, r)
	})
}

func (b *bmc) list(w http.ResponseWriter, _ *http.Request) {
	var members []any
	for _, id := range b.ids {
		members = append(members, link("/redfish/v1/Systems/"+id))
	}
	reply(w, map[string]any{"@odata.id": "/redfish/v1/Systems", "Members@odata.count": len(members), "Members": members})
}

func (b *bmc) show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	b.mu.Lock()
	defer b.mu.Unlock()
	reset := map[string]any{"target": "/redfish/v1/Systems/" + id + "/Actions/ComputerSystem.Reset"}
	if b.offers != nil {
		reset["ResetType@Redfish.AllowableValues"] = b.offers
	}
	reply(w, map[string]any{
		"@odata.id": "/redfish/v1/Systems/" + id, "Id": id, "PowerState": b.state[id],
		"Actions": map[string]any{"#ComputerSystem.Reset": reset},
	})
}

func (b *bmc) reset(w http.ResponseWriter, r *http.Request) {
	var body struct{ ResetType string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := r.PathValue("id")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, id+" "+body.ResetType)
	switch body.ResetType {
	case "ForceOff", "GracefulShutdown":
		b.state[id] = "Off"
	default:
		b.state[id] = "On"
	}
	if b.refuses {
		w.WriteHeader(http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *bmc) resets() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.done...)
}

func link(path string) map[string]any { return map[string]any{"@odata.id": path} }

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

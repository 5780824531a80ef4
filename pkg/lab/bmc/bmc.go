// Package bmc is the Redfish service of one emulated machine: enough of DMTF
// DSP0266 for a client to find the only system, read its power state and
// reset it.
package bmc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
)

// ResetType is an action on a machine's power, in Redfish's words.
type ResetType string

// The resets that a BMC of the lab knows (Redfish ComputerSystem.Reset).
const (
	On               ResetType = "On"
	ForceOff         ResetType = "ForceOff"         // cuts the power
	GracefulShutdown ResetType = "GracefulShutdown" // presses the power button
	ForceRestart     ResetType = "ForceRestart"     // cuts the power, and on again
	PowerCycle       ResetType = "PowerCycle"       // cuts the power, and on again
)

// resetTypes lists them.
var resetTypes = []ResetType{On, ForceOff, GracefulShutdown, ForceRestart, PowerCycle}

// Machine is what a BMC has power over.
type Machine interface {
	// Power says whether the machine's power is on.
	Power() bool
	// Reset does it; nothing to do is no error.
	Reset(ctx context.Context, kind ResetType) error
}

// SystemID names the only system of a BMC.
const SystemID = "1"

// The paths of the service.
const (
	rootPath     = "/redfish/v1/"
	systemsPath  = "/redfish/v1/Systems"
	systemPath   = systemsPath + "/" + SystemID
	resetPath    = systemPath + "/Actions/ComputerSystem.Reset"
	servicePath  = "/redfish/v1/SessionService"
	sessionsPath = servicePath + "/Sessions"
)

// BMC is the HTTP handler of a Redfish service. Every resource but the root
// asks for the user's name and password (basic authentication) or for the
// token of a session.
type BMC struct {
	name     string
	machine  Machine
	user     string
	password string
	mux      *http.ServeMux

	mu   sync.Mutex // guards open
	open []session  // the oldest first, at most maxSessions
}

// session is a login that was not logged out.
type session struct{ id, token string }

// maxSessions bounds the sessions: clients that never log out must not fill
// the memory. The oldest ends when one more begins.
const maxSessions = 32

// New returns the Redfish service of the machine called name.
func New(name string, m Machine, user, password string) *BMC {
	b := &BMC{name: name, machine: m, user: user, password: password,
		mux: http.NewServeMux()}
	b.mux.HandleFunc("GET /redfish/v1/{$}", b.root)
	b.mux.HandleFunc("GET /redfish/v1", b.root)
	b.mux.HandleFunc("POST "+sessionsPath, b.login)
	for pattern, h := range map[string]http.HandlerFunc{
		"GET " + systemsPath:            b.systems,
		"GET " + systemPath:             b.system,
		"POST " + resetPath:             b.reset,
		"GET " + servicePath:            b.sessionService,
		"GET " + sessionsPath:           b.sessions,
		"GET " + sessionsPath + "/{id}": b.session,
		// Logging out.
		"DELETE " + sessionsPath + "/{id}": b.logout,
	} {
		b.mux.HandleFunc(pattern, b.guarded(h))
	}
	b.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "ResourceMissingAtURI", "there is no resource at "+r.URL.Path)
	})
	return b
}

// ServeHTTP answers a request.
func (b *BMC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("OData-Version", "4.0")
	b.mux.ServeHTTP(w, r)
}

func (b *BMC) root(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, object{
		"@odata.id": rootPath, "@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot",
		"Id": "RootService", "Name": "BMC of " + b.name, "RedfishVersion": "1.17.0",
		"Systems":        link(systemsPath),
		"SessionService": link(servicePath),
		"Links":          object{"Sessions": link(sessionsPath)},
	})
}

func (b *BMC) systems(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, collection(systemsPath, "ComputerSystem", systemPath))
}

func (b *BMC) system(w http.ResponseWriter, _ *http.Request) {
	power := "Off"
	if b.machine.Power() {
		power = "On"
	}
	reply(w, http.StatusOK, object{
		"@odata.id": systemPath, "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem",
		"Id": SystemID, "Name": b.name, "HostName": b.name, "SystemType": "Physical",
		"Manufacturer": "vipctl", "Model": "lab", "PowerState": power,
		"Status": object{"State": "Enabled", "Health": "OK"},
		"Actions": object{"#ComputerSystem.Reset": object{
			"target": resetPath, "ResetType@Redfish.AllowableValues": resetTypes,
		}},
	})
}

func (b *BMC) reset(w http.ResponseWriter, r *http.Request) {
	var body struct{ ResetType ResetType }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&body); err != nil {
		fail(w, http.StatusBadRequest, "MalformedJSON", "the request body is not JSON: "+err.Error())
		return
	}
	if !slices.Contains(resetTypes, body.ResetType) {
		fail(w, http.StatusBadRequest, "ActionParameterNotSupported", "ResetType "+string(body.ResetType)+" is not supported")
		return
	}
	// A reset that has begun is finished, whatever becomes of the request.
	if err := b.machine.Reset(context.WithoutCancel(r.Context()), body.ResetType); err != nil {
		fail(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *BMC) guarded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !b.allowed(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Redfish"`)
			fail(w, http.StatusUnauthorized, "NoValidSession", "there is no valid session or credential")
			return
		}
		h(w, r)
	}
}

func (b *BMC) allowed(r *http.Request) bool {
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.open, func(s session) bool { return s.token == token })
	}
	user, password, ok := r.BasicAuth()
	return ok && b.known(user, password)
}

func (b *BMC) known(user, password string) bool {
	return user == b.user && subtle.ConstantTimeCompare([]byte(password), []byte(b.password)) == 1
}

func (b *BMC) sessionService(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, object{
		"@odata.id": servicePath, "@odata.type": "#SessionService.v1_1_9.SessionService",
		"Id": "SessionService", "Name": "Session Service", "ServiceEnabled": true,
		"Sessions": link(sessionsPath),
	})
}

func (b *BMC) sessions(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var paths []string
	for _, s := range b.open {
		paths = append(paths, sessionsPath+"/"+s.id)
	}
	reply(w, http.StatusOK, collection(sessionsPath, "Session", paths...))
}

func (b *BMC) login(w http.ResponseWriter, r *http.Request) {
	var body struct{ UserName, Password string }
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&body)
	if err != nil || !b.known(body.UserName, body.Password) {
		fail(w, http.StatusUnauthorized, "ResourceAtUriUnauthorized", "wrong user name or password")
		return
	}
	s := session{id: rand.Text()[:8], token: rand.Text()}
	b.mu.Lock()
	b.open = append(b.open[max(0, len(b.open)+1-maxSessions):], s)
	b.mu.Unlock()
	w.Header().Set("X-Auth-Token", s.token)
	w.Header().Set("Location", sessionsPath+"/"+s.id)
	reply(w, http.StatusCreated, b.sessionObject(s.id))
}

func (b *BMC) session(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	b.mu.Lock()
	ok := slices.ContainsFunc(b.open, func(s session) bool { return s.id == id })
	b.mu.Unlock()
	if !ok {
		fail(w, http.StatusNotFound, "ResourceMissingAtURI", "there is no session "+id)
		return
	}
	reply(w, http.StatusOK, b.sessionObject(id))
}

func (b *BMC) logout(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(s session) bool { return s.id == r.PathValue("id") })
	w.WriteHeader(http.StatusNoContent)
}

func (b *BMC) sessionObject(id string) object {
	return object{
		"@odata.id": sessionsPath + "/" + id, "@odata.type": "#Session.v1_7_0.Session",
		"Id": id, "Name": "Session " + id, "UserName": b.user,
	}
}

// object is a Redfish resource, or a part of one.
type object map[string]any

func link(path string) object { return object{"@odata.id": path} }

func collection(path, of string, members ...string) object {
	links := make([]object, 0, len(members))
	for _, m := range members {
		links = append(links, link(m))
	}
	kind := of + "Collection"
	return object{
		"@odata.id": path, "@odata.type": "#" + kind + "." + kind, "Name": of + " Collection",
		"Members@odata.count": len(links), "Members": links,
	}
}

func reply(w http.ResponseWriter, code int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// fail answers with Redfish's error object (DSP0266, "Error responses").
func fail(w http.ResponseWriter, code int, id, message string) {
	reply(w, code, object{"error": object{
		"code": "Base.1.18." + id, "message": message,
		"@Message.ExtendedInfo": []object{{"MessageId": "Base.1.18." + id, "Message": message}},
	}})
}

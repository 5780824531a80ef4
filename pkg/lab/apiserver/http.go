//go:build linux

package apiserver

import (
	"crypto/x509"
	"net/http"
	"runtime"
	"strings"
)

// newHandler routes the requests of authenticated clients.
func newHandler(cfg Config, authorities *x509.CertPool, a *api, checks *checks) http.Handler {
	mux := http.NewServeMux()
	for _, name := range []string{"livez", "readyz", "healthz"} {
		mux.HandleFunc("/"+name, checks.all(name))
		mux.HandleFunc("/"+name+"/{check...}", checks.single(name))
	}
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, versionInfo(cfg.KubernetesVersion))
	})
	a.catalog.discover(mux, cfg.advertised())
	mux.Handle("/", a)
	return authenticated(authorities, mux)
}

// versionInfo is Kubernetes' version.Info for a release such as "v1.36.3".
func versionInfo(version string) map[string]string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return map[string]string{
		"major": major, "minor": minor, "gitVersion": version, "gitTreeState": "clean",
		"goVersion": runtime.Version(), "compiler": runtime.Compiler, "platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
}

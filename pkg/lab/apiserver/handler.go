//go:build linux

package apiserver

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
)

// checker says whether what the API server stores its data in works.
type checker interface {
	check(ctx context.Context) error
}

// newHandler routes the requests of authenticated clients.
func newHandler(version string, authorities *x509.CertPool, etcd checker) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/livez", healthz("livez", etcd))
	mux.Handle("/readyz", healthz("readyz", etcd))
	mux.Handle("/healthz", healthz("healthz", etcd))
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, versionInfo(version))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	})
	return authenticated(authorities, mux)
}

// authenticated lets those pass who carry a client certificate of the
// authorities, and answers 401 to the rest.
func authenticated(authorities *x509.CertPool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knows(authorities, r) {
			writeStatus(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func knows(authorities *x509.CertPool, r *http.Request) bool {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	intermediates := x509.NewCertPool()
	for _, cert := range r.TLS.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := r.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         authorities,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// healthz answers as kube-apiserver does: "ok", or with ?verbose a line a
// check; 500 and the lines if one failed.
func healthz(name string, etcd checker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := etcd.check(r.Context())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache, private")
		_, verbose := r.URL.Query()["verbose"]
		switch {
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n%s check failed\n", name)
		case verbose:
			_, _ = fmt.Fprintf(w, "[+]ping ok\n[+]log ok\n[+]etcd ok\n%s check passed\n", name)
		default:
			_, _ = fmt.Fprint(w, "ok")
		}
	})
}

// status is Kubernetes' meta/v1 Status.
type status struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   struct{} `json:"metadata"`
	Status     string   `json:"status"`
	Message    string   `json:"message"`
	Reason     string   `json:"reason"`
	Code       int      `json:"code"`
}

func writeStatus(w http.ResponseWriter, code int, reason, message string) {
	writeJSON(w, code, status{
		Kind: "Status", APIVersion: "v1", Status: "Failure", Message: message, Reason: reason, Code: code,
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, private")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the client hung up
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

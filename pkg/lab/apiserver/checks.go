//go:build linux

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
)

// checker says whether what the API server stores its data in works.
type checker interface {
	check(ctx context.Context) error
}

// checks are what the API server's health consists of.
type checks struct {
	etcd checker
	// unreadyFile makes readyz fail while it exists; "" means none.
	unreadyFile string
	ending      <-chan struct{} // closed once the server is told to end
}

// check is one line of a health report.
type check struct {
	name string
	run  func(context.Context) error
}

// of returns the checks that a report is made of, in kube-apiserver's order
// and by its names (Kubernetes v1.36). Those of informers and post-start hooks
// are one here, informer-sync, which the unready file fails.
func (c *checks) of(report string) []check {
	fine := func(context.Context) error { return nil }
	all := []check{{"ping", fine}, {"log", fine}, {"etcd", c.etcd.check}}
	if report == "readyz" {
		all = append(all, check{"etcd-readiness", c.etcd.check}, check{"informer-sync", c.synced}, check{"shutdown", c.alive})
	}
	return all
}

func (c *checks) synced(context.Context) error {
	if c.unreadyFile == "" {
		return nil
	}
	if _, err := os.Stat(c.unreadyFile); err == nil {
		return errors.New("informers not started yet")
	}
	return nil
}

func (c *checks) alive(context.Context) error {
	select {
	case <-c.ending:
		return errors.New("process is shutting down")
	default:
		return nil
	}
}

// all answers as kube-apiserver does: "ok", or with ?verbose a line a check;
// 500 and the lines if one failed.
func (c *checks) all(report string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		var lines strings.Builder
		failed := false
		for _, check := range c.of(report) {
			switch {
			case slices.Contains(excluded, check.name):
				fmt.Fprintf(&lines, "[+]%s excluded: ok\n", check.name)
			case check.run(r.Context()) != nil:
				failed = true
				fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", check.name)
			default:
				fmt.Fprintf(&lines, "[+]%s ok\n", check.name)
			}
		}
		header(w)
		_, verbose := r.URL.Query()["verbose"]
		switch {
		case failed:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, "%s%s check failed\n", lines.String(), report)
		case verbose:
			_, _ = fmt.Fprintf(w, "%s%s check passed\n", lines.String(), report)
		default:
			_, _ = fmt.Fprint(w, "ok")
		}
	}
}

// single answers for one check of a report.
func (c *checks) single(report string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, check := range c.of(report) {
			if check.name != r.PathValue("check") {
				continue
			}
			err := check.run(r.Context())
			header(w)
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = fmt.Fprintf(w, "internal server error: %v\n", err)
				return
			}
			_, _ = fmt.Fprint(w, "ok")
			return
		}
		writeError(w, noSuchPath())
	}
}

func header(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache, private")
}

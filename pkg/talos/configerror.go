package talos

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// MissingError says that no talosconfig was found where none was named.
type MissingError struct {
	// Searched are the paths that were tried, in order.
	Searched []string
}

func (e *MissingError) Error() string {
	if len(e.Searched) == 0 {
		return "no talosconfig found: the home directory is not known"
	}
	return "no talosconfig found: tried " + strings.Join(e.Searched, ", ")
}

// Hint names what to try.
func (e *MissingError) Hint() string {
	return "name the file with --talosconfig or TALOSCONFIG"
}

// FileError says that a talosconfig cannot be read or used.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("talosconfig %s: %v", e.Path, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// Hint names what to try.
func (e *FileError) Hint() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "name another file with --talosconfig or TALOSCONFIG"
	}
	return "name another file with --talosconfig or TALOSCONFIG; try this one with: talosctl --talosconfig " + e.Path + " config info"
}

// ContextError says that the talosconfig has no such context.
type ContextError struct {
	Path    string
	Context string   // "" where none was named and the file has no current one
	Known   []string // the contexts that it has
}

func (e *ContextError) Error() string {
	if e.Context == "" {
		return fmt.Sprintf("talosconfig %s has no current context", e.Path)
	}
	return fmt.Sprintf("talosconfig %s has no context %q", e.Path, e.Context)
}

// Hint names the contexts there are.
func (e *ContextError) Hint() string {
	return "choose one with --context: " + strings.Join(e.Known, ", ")
}

// EndpointsError says that the context names nobody to dial, or names it so
// that it cannot be dialled.
type EndpointsError struct {
	Path    string
	Context string
	Err     error // nil where there are none
}

func (e *EndpointsError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("context %q of talosconfig %s has no endpoints", e.Context, e.Path)
}

func (e *EndpointsError) Unwrap() error { return e.Err }

// Hint names what to try.
func (e *EndpointsError) Hint() string {
	return "name control-plane nodes with --endpoints, or once and for all: talosctl config endpoint --context " + e.Context + " ADDRESS..."
}

// CertificateError says that the client certificate of the context is not
// valid now.
type CertificateError struct {
	Path, Context            string
	NotBefore, NotAfter, Now time.Time
}

func (e *CertificateError) Error() string {
	if e.Now.Before(e.NotBefore) {
		return fmt.Sprintf("the client certificate of context %q in %s is not valid before %s", e.Context, e.Path, e.NotBefore.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the client certificate of context %q in %s expired at %s", e.Context, e.Path, e.NotAfter.UTC().Format(time.RFC3339))
}

// Hint names what to try.
func (e *CertificateError) Hint() string {
	if e.Now.Before(e.NotBefore) {
		return "check the clock of this machine"
	}
	return "choose another with --context or --talosconfig, or make a new one: talosctl config new (with one that still works), or talosctl gen config --with-secrets"
}

package talos

import (
	"cmp"
	"maps"
	"slices"
	"time"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
)

// File is a talosconfig that was read and parsed once, for as many of its
// contexts as are wanted. It may be used by several goroutines.
type File struct {
	// Path is where it was read from.
	Path string

	parsed *clientconfig.Config // only read
}

// Open finds and reads the talosconfig at path; "" searches as Load does. Its
// errors have a Hint.
func Open(path string) (*File, error) {
	path, parsed, err := open(path)
	if err != nil {
		return nil, err
	}
	return &File{Path: path, parsed: parsed}, nil
}

// Contexts returns the names of the contexts, in alphabetical order.
func (f *File) Contexts() []string { return slices.Sorted(maps.Keys(f.parsed.Contexts)) }

// Check returns a *ContextError where the file has no context of that name.
func (f *File) Check(context string) error {
	if f.parsed.Contexts[context] == nil {
		return &ContextError{Path: f.Path, Context: context, Known: f.Contexts()}
	}
	return nil
}

// Select makes the context that the options name, or the current one, fit for
// use, as Load does; the options' Talosconfig is not looked at.
func (f *File) Select(opts Options) (*Config, error) {
	name := cmp.Or(opts.Context, f.parsed.Context)
	if err := f.Check(name); err != nil {
		return nil, err
	}
	selected := f.parsed.Contexts[name]
	cfg := &Config{
		Path: f.Path, Context: name, file: f.parsed, cluster: opts.Cluster,
		Endpoints: selected.Endpoints, Nodes: selected.Nodes,
		Timeout:   cmp.Or(max(opts.Timeout, 0), DefaultTimeout),
		keysDir:   clientconfig.CustomSideroV1KeysDirPath(opts.KeysDir),
		forwarded: selected.Auth.SideroV1 != nil,
	}
	if len(opts.Endpoints) > 0 {
		cfg.Endpoints = opts.Endpoints
	}
	if len(opts.Nodes) > 0 {
		cfg.Nodes = opts.Nodes
	}
	return cfg, cfg.check(selected, time.Now())
}

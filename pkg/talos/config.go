package talos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"go.yaml.in/yaml/v3"
)

// DefaultTimeout is how long a node may take to answer where Options say
// nothing.
const DefaultTimeout = 5 * time.Second

// Options choose a cluster and the credentials for it, in talosctl's terms.
// The zero value is what talosctl does without flags.
type Options struct {
	// Talosconfig is the file; "" searches $TALOSCONFIG, $TALOS_HOME/config or
	// ~/.talos/config, /var/run/secrets/talos.dev/config, in this order.
	Talosconfig string
	// Context is the talosconfig context; "" is the current one of the file.
	Context string
	// Cluster is the cluster to name to a proxy (Omni); "" is the context's own.
	Cluster string
	// KeysDir holds SideroV1 keys; $SIDEROV1_KEYS_DIR overrides it.
	KeysDir string
	// Nodes and Endpoints override those of the context. Nodes never narrow what
	// is asked: every control-plane node is.
	Nodes     []string
	Endpoints []string
	// Timeout is how long each node may take to answer, connecting included; 0
	// is DefaultTimeout.
	Timeout time.Duration
}

// Config is a talosconfig context that is fit for use: it has endpoints, and
// its client certificate is valid now.
type Config struct {
	// Path is the file it was read from.
	Path string
	// Context is the name of the context in use.
	Context string
	// Endpoints and Nodes are as written, in the file or in the Options.
	Endpoints []string
	Nodes     []string
	// Timeout is how long each node may take to answer, never 0.
	Timeout time.Duration

	cluster   string
	keysDir   string
	file      *clientconfig.Config
	dialer    func(ctx context.Context, addr string) (net.Conn, error) // nil is talosctl's own
	forwarded bool                                                     // nodes are reached through the endpoint only
}

// Load finds and reads the talosconfig and selects a context. It dials nobody,
// and never creates a file. Its errors have a Hint.
func Load(opts Options) (*Config, error) {
	file, err := Open(opts.Talosconfig)
	if err != nil {
		return nil, err
	}
	return file.Select(opts)
}

// Contexts returns the names of the contexts in the talosconfig at path, in
// order; path "" searches as Load does.
func Contexts(path string) ([]string, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	return file.Contexts(), nil
}

func open(path string) (string, *clientconfig.Config, error) {
	path, err := find(path)
	if err != nil {
		return "", nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, &FileError{Path: path, Err: bare(err)}
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return "", nil, &FileError{Path: path, Err: errors.New("it is a directory")}
	}
	file, err := parse(f)
	if err != nil {
		return "", nil, &FileError{Path: path, Err: err}
	}
	return path, file, nil
}

// find returns the file to read. The machinery's own Open would create it
// where it is missing, so nothing here calls that.
func find(path string) (string, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", &FileError{Path: path, Err: bare(err)}
		}
		return path, nil
	}
	candidates, err := clientconfig.GetDefaultPaths()
	if err != nil {
		return "", &MissingError{}
	}
	missing := &MissingError{}
	for _, c := range candidates {
		if _, err := os.Stat(c.Path); err == nil {
			return c.Path, nil
		}
		missing.Searched = append(missing.Searched, c.Path)
	}
	return "", missing
}

// parse decodes a talosconfig. It does what the machinery does, but an empty
// context is an error and no panic.
func parse(r io.Reader) (*clientconfig.Config, error) {
	file := &clientconfig.Config{}
	switch err := yaml.NewDecoder(r).Decode(file); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty")
	case err != nil:
		return nil, unread(err)
	case len(file.Contexts) == 0:
		return nil, errors.New("it has no contexts")
	}
	for name, c := range file.Contexts {
		if c == nil {
			return nil, fmt.Errorf("context %q is empty", name)
		}
		if c.DeprecatedTarget != "" {
			c.Endpoints = append(c.Endpoints, c.DeprecatedTarget)
			c.DeprecatedTarget = ""
		}
	}
	return file, nil
}

// unread says on one line why the YAML is no talosconfig.
func unread(err error) error {
	if types, ok := errors.AsType[*yaml.TypeError](err); ok {
		return fmt.Errorf("it is no talosconfig: %s", tidy(strings.Join(types.Errors, "; ")))
	}
	return fmt.Errorf("it is no talosconfig: %s", tidy(err.Error()))
}

// check finds what would fail when dialling, without dialling.
func (c *Config) check(selected *clientconfig.Context, now time.Time) error {
	if len(c.Endpoints) == 0 {
		return &EndpointsError{Path: c.Path, Context: c.Context}
	}
	for _, e := range c.Endpoints {
		if _, err := parseEndpoint(e); err != nil {
			return &EndpointsError{Path: c.Path, Context: c.Context, Err: err}
		}
	}
	pair, err := talosclient.CertificateFromConfigContext(selected)
	if err != nil {
		return &FileError{Path: c.Path, Err: fmt.Errorf("context %q: %w", c.Context, err)}
	}
	if pair == nil || pair.Leaf == nil {
		return nil
	}
	if now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		return &CertificateError{Path: c.Path, Context: c.Context, NotBefore: pair.Leaf.NotBefore, NotAfter: pair.Leaf.NotAfter, Now: now}
	}
	return nil
}

// bare drops the operation and the path, which the message names already.
func bare(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

package commands

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/config"
	"github.com/vipctl/vipctl/pkg/kube"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// Factory hands commands what they need. Whatever is dear or can fail is a
// function, so that help and completion touch nothing.
type Factory struct {
	Streams *cli.Streams

	// Talosconfig reads the talosconfig and chooses the context.
	Talosconfig func() (*talos.Config, error)
	// Kube opens the Kubernetes client; without a kubeconfig it is anonymous.
	Kube func() (*kube.Client, error)
	// Config reads vipctl's configuration file; a missing default file is an
	// empty configuration.
	Config func() (*config.Config, error)

	flags      flags
	interrupts *interrupts
	// nodes is whom every look asks, and leaves open; nil: each opens a client of
	// its own.
	nodes *talos.Client
}

func newFactory(streams *cli.Streams, interrupts *interrupts) *Factory {
	f := &Factory{Streams: streams, interrupts: interrupts}
	f.Talosconfig = func() (*talos.Config, error) {
		opts, err := f.flags.one()
		if err != nil {
			return nil, err
		}
		cfg, err := talos.Load(opts)
		return cfg, configError(err)
	}
	f.Kube = func() (*kube.Client, error) {
		cfg, err := kube.Load(f.flags.Kubeconfig)
		switch {
		case err != nil && f.flags.Kubeconfig != "":
			return nil, &cli.UsageError{Err: err}
		case err != nil: // nobody named $KUBECONFIG by hand here
			f.Streams.Errorf("warning: %v: without it no kube-apiserver says itself whether it is ready, and the kubelets' word on it is taken", err)
			cfg = kube.Without(err)
		}
		return kube.New(cfg, f.flags.Timeout)
	}
	f.Config = func() (*config.Config, error) { return loadConfig(f.flags.Config) }
	return f
}

// configError makes the error of a talosconfig one of usage; refused
// credentials are none.
func configError(err error) error {
	var expired *talos.CertificateError
	if err != nil && !errors.As(err, &expired) {
		return &cli.UsageError{Err: err}
	}
	return err
}

// loadConfig reads the file that the flag, the environment or the default
// names, in this order. Only the default may be missing.
func loadConfig(flag string) (*config.Config, error) {
	path, named := flag, flag != ""
	if !named {
		path = os.Getenv("VIPCTL_CONFIG")
		named = path != ""
	}
	if !named {
		path = filepath.Join(xdg.ConfigHome, "vipctl", "config.yaml")
	}
	cfg, err := config.Load(path)
	switch {
	case err == nil:
		return cfg, nil
	case !named && errors.Is(err, fs.ErrNotExist):
		return &config.Config{}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, cli.WithHint(&cli.UsageError{Err: err}, "name another file with --config or VIPCTL_CONFIG")
	case cli.HintOf(err) == "":
		return nil, cli.WithHint(&cli.UsageError{Err: err}, "schemas/config.json says what it may hold; --config names another file")
	default:
		return nil, &cli.UsageError{Err: err}
	}
}

// style is how tables look on stdout.
func (f *Factory) style() report.Style {
	return report.Style{Color: f.Streams.Color && !f.flags.NoColor, Width: f.Streams.Width()}
}

// write prints a document to stdout in the format.
func (f *Factory) write(format string, doc any) error {
	style := f.style()
	return style.Write(f.Streams.Out, format, doc)
}

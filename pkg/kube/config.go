// Package kube looks at the kube-apiservers of a control plane: whether each
// is ready, and which serving certificate it presents. The certificate is
// looked at, not trusted: it names the node that answers.
package kube

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is what a kubeconfig says of the cluster, as far as it is needed
// here. The zero value is anonymous.
type Config struct {
	// Path is the file it was read from, "" where there is none.
	Path string
	// Unused is why the one that was named is not used, "" where none was, or it is.
	// A snapshot keeps it.
	Unused string

	certificates []tls.Certificate
}

// ConfigError says that a kubeconfig cannot be used.
type ConfigError struct {
	Path string
	Err  error
}

func (e *ConfigError) Error() string { return fmt.Sprintf("kubeconfig %s: %v", e.Path, e.Err) }
func (e *ConfigError) Unwrap() error { return e.Err }

// Hint names what to try.
func (e *ConfigError) Hint() string {
	return "name another file with --kubeconfig or KUBECONFIG, or none: what needs it is then skipped"
}

// Load reads the kubeconfig that the flag names, or those that $KUBECONFIG
// lists. Where neither names one the Config is anonymous: ~/.kube/config is
// not taken by itself, for it may be another cluster's.
func Load(flag string) (*Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: flag}
	path := flag
	if flag == "" {
		path = os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
		rules.Precedence = strings.FieldsFunc(path, func(r rune) bool { return r == os.PathListSeparator })
		if len(rules.Precedence) == 0 {
			return &Config{}, nil
		}
	}
	if err := readable(rules); err != nil {
		return nil, &ConfigError{Path: path, Err: err}
	}
	kubeconfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, &ConfigError{Path: path, Err: err}
	}
	cfg, err := credentials(kubeconfig)
	if err != nil {
		return nil, &ConfigError{Path: path, Err: err}
	}
	cfg.Path = path
	return cfg, nil
}

// notOne begins what is wrong with what a file holds.
const notOne = "it is no kubeconfig"

// Without is the anonymous configuration of one whose kubeconfig Load refuses. Of
// the error it keeps nothing that the file may hold.
func Without(err error) *Config {
	reason := err.Error()
	if text, _, cut := strings.Cut(reason, notOne+": "); cut {
		reason = text + notOne
	}
	return &Config{Unused: reason}
}

// readable says plainly why no file can be read; client-go names a variable of its
// own, or a type of Go. As with kubectl, of several in $KUBECONFIG some may be
// missing.
func readable(rules *clientcmd.ClientConfigLoadingRules) error {
	paths := rules.Precedence
	if rules.ExplicitPath != "" {
		paths = []string{rules.ExplicitPath}
	}
	found := false
	for _, path := range paths {
		_, err := clientcmd.LoadFromFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil && len(paths) > 1:
			return fmt.Errorf("%s: %w", path, unread(err))
		case err != nil:
			return unread(err)
		}
		found = true
	}
	if !found {
		return fs.ErrNotExist
	}
	return nil
}

// unread says on one line why a file is no kubeconfig.
func unread(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	text := strings.TrimPrefix(err.Error(), "couldn't get version/kind; json parse error: ")
	if strings.Contains(text, "Go value") {
		return errors.New(notOne)
	}
	return fmt.Errorf(notOne+": %s", strings.Join(strings.Fields(text), " "))
}

// credentials takes the client's certificate out of a kubeconfig. Tokens are
// left alone, and exec plugins are not run: a look must not open a browser.
func credentials(k *rest.Config) (*Config, error) {
	if err := rest.LoadTLSFiles(k); err != nil {
		return nil, err
	}
	if len(k.CertData) == 0 {
		return &Config{}, nil
	}
	pair, err := tls.X509KeyPair(k.CertData, k.KeyData)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return &Config{certificates: []tls.Certificate{pair}}, nil
}

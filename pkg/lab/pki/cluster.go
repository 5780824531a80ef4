// Package pki is the lab cluster's public-key infrastructure: the three
// certificate authorities of a Talos cluster (Talos API, etcd, Kubernetes) and
// the certificates that its nodes and clients carry.
//
// Every call that issues a certificate makes a new key, so a certificate's
// fingerprint names one node in one boot, as on Talos.
package pki

import (
	"fmt"
	"os"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"go.yaml.in/yaml/v3"
)

// Cluster holds a cluster's secrets: the authorities and their keys.
type Cluster struct {
	bundle *secrets.Bundle
}

// New makes the secrets of a new cluster as Talos of that version ("v1.13.9")
// does. The authorities are valid from now for ten years.
func New(talosVersion string, now time.Time) (*Cluster, error) {
	contract, err := config.ParseContractFromVersion(talosVersion)
	if err != nil {
		return nil, fmt.Errorf("talos version: %w", err)
	}
	// Since 1.7 the contract asks for an RSA 4096 key to sign service account
	// tokens with, which takes up to seconds to make. The lab signs none.
	if contract.Greater(config.TalosVersion1_6) {
		contract = config.TalosVersion1_6
	}
	bundle, err := secrets.NewBundle(secrets.NewFixedClock(now), contract)
	if err != nil {
		return nil, fmt.Errorf("make cluster secrets: %w", err)
	}
	return &Cluster{bundle: bundle}, nil
}

// WriteFile writes the secrets to path, readable by the owner only, in the
// form of "talosctl gen secrets".
func (c *Cluster) WriteFile(path string) error {
	data, err := yaml.Marshal(c.bundle)
	if err != nil {
		return fmt.Errorf("encode cluster secrets: %w", err)
	}
	return os.WriteFile(path, data, 0o600)
}

// ReadFile reads what WriteFile wrote. Secrets that do not make a whole cluster
// are an error.
func ReadFile(path string) (*Cluster, error) {
	bundle, err := secrets.LoadBundle(path)
	if err != nil {
		return nil, fmt.Errorf("read cluster secrets: %w", err)
	}
	if err := bundle.Validate(); err != nil {
		return nil, fmt.Errorf("cluster secrets in %s: %w", path, err)
	}
	return &Cluster{bundle: bundle}, nil
}

// Bundle returns the secrets as Talos's own generator of machine
// configurations takes them. They are shared: the caller must not change them.
func (c *Cluster) Bundle() *secrets.Bundle { return c.bundle }

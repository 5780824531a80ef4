// Package config reads the file that names VIPs, power switches and
// objectives. It is strict: an unknown key is an error that names its line,
// and only keys that do something are known.
package config

import (
	"net/netip"
	"time"
)

// APIVersion is the only version of the file that there is.
const APIVersion = "vipctl.dev/v1alpha1"

// DriverRedfish is the only power driver that there is.
const DriverRedfish = "redfish"

// modes are those of a drill that an objective may be set for.
var modes = []string{"soft", "graceful", "powercycle", "force", "hard"}

// Config is what the file says. The zero value is what an absent file says:
// nothing.
type Config struct {
	APIVersion string `json:"apiVersion" yaml:"apiVersion"`
	// VIPs are the virtual IPs to look at, besides those discovered.
	VIPs []netip.Addr `json:"vips,omitempty" yaml:"vips,omitempty"`
	// LeaseTTL is the lease time of the VIP's owner; 0 means not said, which
	// is Talos's 60 s.
	LeaseTTL Duration `json:"leaseTTL,omitempty" yaml:"leaseTTL,omitempty"`
	// Nodes are by host name.
	Nodes map[string]Node `json:"nodes,omitempty" yaml:"nodes,omitempty"`
	// Objectives are the longest outages that are good, by mode of drill.
	Objectives map[string]Duration `json:"objectives,omitempty" yaml:"objectives,omitempty"`
}

// Node is what the file says of one node.
type Node struct {
	// Power is the node's power switch; nil means that it has none.
	Power *Power `json:"power,omitempty" yaml:"power,omitempty"`
}

// Power is how to reach a node's power switch. It holds no password, only
// where to find one.
type Power struct {
	Driver string `json:"driver" yaml:"driver"`
	// URL is http or https, without user and password.
	URL string `json:"url" yaml:"url"`
	// Username is "" for a switch without authentication. With it goes one of
	// PasswordEnv and PasswordFile.
	Username string `json:"username,omitempty" yaml:"username,omitempty"`
	// PasswordEnv is the environment variable that holds the password.
	PasswordEnv string `json:"passwordEnv,omitempty" yaml:"passwordEnv,omitempty"`
	// PasswordFile holds the password, and perhaps a line end after it. This
	// path and CAFile are absolute after Load; in the file they may be
	// relative to it.
	PasswordFile string `json:"passwordFile,omitempty" yaml:"passwordFile,omitempty"`
	// CAFile holds the certificates (PEM) that may sign the switch's.
	CAFile string `json:"caFile,omitempty" yaml:"caFile,omitempty"`
	// InsecureSkipVerify takes any certificate.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty" yaml:"insecureSkipVerify,omitempty"`
	// SystemID names the computer system where the switch has several.
	SystemID string `json:"systemID,omitempty" yaml:"systemID,omitempty"`
}

// Duration is a time.Duration that is written as "60s" or "1m30s".
type Duration time.Duration

// MarshalText writes d as time.Duration prints it, so that a Config that is
// written as YAML or JSON can be read again.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads, also what is negative.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

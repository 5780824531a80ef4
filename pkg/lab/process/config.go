package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// WriteConfig writes what a process in the role is to be told, as JSON that only
// we may read.
func WriteConfig(role, path string, cfg any) error {
	data, err := json.MarshalIndent(cfg, "", "  ")
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("%s configuration: %w", role, err)
	}
	return nil
}

// Configured writes cfg to path and returns the command that runs this binary
// in the role with it.
func Configured(role, path string, cfg any) (*exec.Cmd, error) {
	if err := WriteConfig(role, path, cfg); err != nil {
		return nil, err
	}
	return Self(role, path), nil
}

// ReadConfig reads what WriteConfig wrote, in the process that runs the role.
func ReadConfig[T any](role, path string) (T, error) {
	var cfg T
	data, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("%s configuration: %w", role, err)
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return cfg, fmt.Errorf("%s configuration %s: %w", role, path, err)
	}
	return cfg, nil
}

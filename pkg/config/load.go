package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// Load reads the file at path. Where there is none the error is
// fs.ErrNotExist, wrapped: whether that matters is the caller's to say. A file
// that is wrong is an *Error, which names the line.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	c, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	for _, node := range c.Nodes {
		if node.Power != nil {
			node.Power.PasswordFile = within(dir, node.Power.PasswordFile)
			node.Power.CAFile = within(dir, node.Power.CAFile)
		}
	}
	return c, nil
}

// within resolves a path of the file in dir; "" stays "".
func within(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

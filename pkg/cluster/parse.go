package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Parse reads a saved snapshot. One of another kind or version is an error, as
// is one that names a node twice.
func Parse(data []byte) (*Snapshot, error) {
	snap := &Snapshot{}
	if err := json.Unmarshal(data, snap); err != nil {
		return nil, fmt.Errorf("not a snapshot: %w", err)
	}
	if snap.Kind != Kind {
		return nil, fmt.Errorf("not a snapshot: its kind is %q", snap.Kind)
	}
	if snap.APIVersion != APIVersion {
		return nil, fmt.Errorf("a snapshot of version %q, and only %s is known", snap.APIVersion, APIVersion)
	}
	names := make(map[string]bool, len(snap.Nodes))
	for _, n := range snap.Nodes {
		if n.Name == "" {
			return nil, errors.New("the snapshot has a node without a name")
		}
		if names[n.Name] {
			return nil, fmt.Errorf("the snapshot names %s twice", n.Name)
		}
		names[n.Name] = true
	}
	return snap, nil
}

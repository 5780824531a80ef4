package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
)

// VersionError says that a snapshot has a version that is not known here.
type VersionError struct{ Version string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("a snapshot of version %q, and only %s is known", e.Version, APIVersion)
}

// Hint says whose version it is.
func (e *VersionError) Hint() string {
	return "another vipctl wrote it: read it with that, or with a newer one (vipctl version)"
}

// Parse reads a saved snapshot. One of another kind or version is an error, as
// is one that names a node twice. What it lacks was not asked for.
func Parse(data []byte) (*Snapshot, error) {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(data, &head); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field == "" {
			err = fmt.Errorf("it is JSON of type %s, and no object", wrong.Value)
		}
		return nil, fmt.Errorf("not a snapshot: %w", plain(err))
	}
	if head.Kind != Kind {
		return nil, fmt.Errorf("not a snapshot: its kind is %q", head.Kind)
	}
	if head.APIVersion != APIVersion { // another version need not read as ours
		return nil, &VersionError{Version: head.APIVersion}
	}
	snap := &Snapshot{}
	if err := json.Unmarshal(data, snap); err != nil {
		return nil, fmt.Errorf("not a snapshot: %w", plain(err))
	}
	if snap.Earlier != nil && snap.Earlier.Earlier != nil {
		return nil, errors.New("the snapshot has an earlier one that has an earlier one")
	}
	for s := snap; s != nil; s = s.Earlier {
		if err := s.checkNames(); err != nil {
			return nil, err
		}
	}
	return snap, nil
}

// plain says what in the JSON has the wrong type without naming a type of Go.
func plain(err error) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%s must not be of type %s", cmp.Or(wrong.Field, "a field"), wrong.Value)
}

func (s *Snapshot) checkNames() error {
	names := make(map[string]bool, len(s.Nodes))
	for _, n := range s.Nodes {
		if n.Name == "" {
			return errors.New("the snapshot has a node without a name")
		}
		if names[n.Name] {
			return fmt.Errorf("the snapshot names %s twice", n.Name)
		}
		names[n.Name] = true
	}
	return nil
}

package cluster

import (
	"encoding/json"
	"errors"
)

// Seen is a fact that was asked for, and may not have been learned. The zero
// value was never asked for; it is not known, and has no error either.
type Seen[T any] struct {
	value T
	known bool
	err   string
}

// Got is a fact that was learned.
func Got[T any](v T) Seen[T] { return Seen[T]{value: v, known: true} }

// Missed is a fact that was asked for and not learned, and why.
func Missed[T any](err error) Seen[T] { return Seen[T]{err: err.Error()} }

// See is Got where err is nil, Missed otherwise.
func See[T any](v T, err error) Seen[T] {
	if err != nil {
		return Missed[T](err)
	}
	return Got(v)
}

// Get returns the fact and whether it is known.
func (s Seen[T]) Get() (T, bool) { return s.value, s.known }

// Value returns the fact, or the zero value where it is not known.
func (s Seen[T]) Value() T { return s.value }

// Known says whether the fact was learned.
func (s Seen[T]) Known() bool { return s.known }

// Err says why the fact is not known: "" where it is, "not asked" where
// nobody asked.
func (s Seen[T]) Err() string {
	switch {
	case s.known:
		return ""
	case s.err != "":
		return s.err
	default:
		return "not asked"
	}
}

type seenJSON[T any] struct {
	Value *T     `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// MarshalJSON writes {"value": ...}, {"error": ...}, or null where nobody asked.
func (s Seen[T]) MarshalJSON() ([]byte, error) {
	switch {
	case s.known:
		return json.Marshal(seenJSON[T]{Value: &s.value})
	case s.err != "":
		return json.Marshal(seenJSON[T]{Error: s.err})
	default:
		return []byte("null"), nil
	}
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Seen[T]) UnmarshalJSON(data []byte) error {
	var j struct {
		Value json.RawMessage // null is a value: an empty list
		Error string
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	switch {
	case j.Value != nil && j.Error != "":
		return errors.New("a fact has both a value and an error")
	case j.Value != nil:
		var v T
		if err := json.Unmarshal(j.Value, &v); err != nil {
			return err
		}
		*s = Got(v)
	case j.Error != "":
		*s = Seen[T]{err: j.Error}
	default:
		*s = Seen[T]{}
	}
	return nil
}

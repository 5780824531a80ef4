package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// keys says how each known key of a mapping is read.
type keys map[string]func(*yaml.Node) error

// wrong is an error at the line of n. The file's name is added by parse.
func wrong(n *yaml.Node, hint, format string, args ...any) error {
	return &Error{Line: n.Line, Reason: fmt.Sprintf(format, args...), Remedy: hint}
}

// each calls read for every key of a mapping, in order. A key that comes twice
// is an error. An empty node is an empty mapping.
func each(n *yaml.Node, what string, read func(key, value *yaml.Node) error) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return wrong(n, "", "%s is %s, not a mapping", what, kind(n))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], follow(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			return wrong(key, "", "a key of %s is %s, not a word", what, kind(key))
		}
		if seen[key.Value] {
			return wrong(key, "", "%q comes twice in %s", key.Value, what)
		}
		seen[key.Value] = true
		if err := read(key, value); err != nil {
			return err
		}
	}
	return nil
}

// fields reads a mapping whose keys are known.
func fields(n *yaml.Node, what string, known keys) error {
	return each(n, what, func(key, value *yaml.Node) error {
		read, ok := known[key.Value]
		if !ok {
			hint := "known are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
			return wrong(key, hint, "unknown key %q in %s", key.Value, what)
		}
		return read(value)
	})
}

// text reads a string that is not empty into to.
func text(to *string, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
			return wrong(n, "", "%s is %s, not a text", what, kind(n))
		}
		*to = n.Value
		return nil
	}
}

// truth reads true or false into to.
func truth(to *bool, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(to) != nil {
			return wrong(n, "", "%s is %s, not true or false", what, kind(n))
		}
		return nil
	}
}

// duration reads a duration above zero into to.
func duration(to *Duration, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || to.UnmarshalText([]byte(n.Value)) != nil {
			return wrong(n, `write it like "60s" or "1m30s"`, "%s is %s, not a duration", what, kind(n))
		}
		if *to <= 0 {
			return wrong(n, "", "%s is %s, not above zero", what, n.Value)
		}
		return nil
	}
}

// follow returns what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// kind describes a node for an error.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Value == "":
		return "empty"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}

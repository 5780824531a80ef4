package config

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads data, which came from the file of that name. Every error is an
// *Error.
func parse(file string, data []byte) (*Config, error) {
	c := new(Config)
	root, err := document(data)
	if err == nil {
		err = c.read(root)
	}
	if err == nil {
		return c, nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: err.Error()}
	}
	e.File = file
	return nil, e
}

// document returns the only document of data.
func document(data []byte) (*yaml.Node, error) {
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Error{Line: 1, Reason: "the file is empty", Remedy: "begin it with: apiVersion: " + APIVersion}
	case err != nil:
		return nil, syntax(err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, wrong(&second, "", "a second document")
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	return follow(doc.Content[0]), nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntax takes the line out of what the YAML parser says.
func syntax(err error) error {
	said := err.Error()
	e := &Error{Reason: "not YAML: " + strings.TrimPrefix(said, "yaml: ")}
	if m := yamlLine.FindStringSubmatch(said); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Reason = "not YAML: " + strings.TrimPrefix(said, m[0])
	}
	return e
}

func (c *Config) read(n *yaml.Node) error {
	err := fields(n, "the file", keys{
		"apiVersion": text(&c.APIVersion, "apiVersion"),
		"vips":       c.readVIPs,
		"leaseTTL":   duration(&c.LeaseTTL, "leaseTTL"),
		"nodes":      c.readNodes,
		"objectives": c.readObjectives,
	})
	if err == nil && c.APIVersion != APIVersion {
		return wrong(n, "begin the file with: apiVersion: "+APIVersion, "apiVersion is %q", c.APIVersion)
	}
	return err
}

func (c *Config) readVIPs(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return wrong(n, "", "vips is %s, not a list", kind(n))
	}
	for _, item := range n.Content {
		item = follow(item)
		addr, err := netip.ParseAddr(item.Value)
		addr = addr.Unmap()
		switch {
		case item.Kind != yaml.ScalarNode || err != nil:
			return wrong(item, "", "vip is %s, not an IP address", kind(item))
		case addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "":
			return wrong(item, "", "%s cannot be a VIP", addr)
		case slices.Contains(c.VIPs, addr):
			return wrong(item, "", "vip %s comes twice", addr)
		}
		c.VIPs = append(c.VIPs, addr)
	}
	return nil
}

func (c *Config) readNodes(n *yaml.Node) error {
	c.Nodes = map[string]Node{}
	return each(n, "nodes", func(key, value *yaml.Node) error {
		if key.Value == "" {
			return wrong(key, "", "a node has no name")
		}
		var node Node
		err := fields(value, "node "+key.Value, keys{
			"power": func(n *yaml.Node) (err error) {
				node.Power, err = readPower(n, "power of "+key.Value)
				return err
			},
		})
		c.Nodes[key.Value] = node
		return err
	})
}

func (c *Config) readObjectives(n *yaml.Node) error {
	c.Objectives = map[string]Duration{}
	return each(n, "objectives", func(key, value *yaml.Node) error {
		if !slices.Contains(modes, key.Value) {
			return wrong(key, "known are "+strings.Join(modes, ", "), "unknown mode %q in objectives", key.Value)
		}
		var longest Duration
		err := duration(&longest, "objective of "+key.Value)(value)
		c.Objectives[key.Value] = longest
		return err
	})
}

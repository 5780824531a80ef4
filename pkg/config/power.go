package config

import (
	"net/url"

	"go.yaml.in/yaml/v3"
)

// readPower reads a power switch; what names it in errors.
func readPower(n *yaml.Node, what string) (*Power, error) {
	p := new(Power)
	err := fields(n, what, keys{
		"driver":             driver(&p.Driver),
		"url":                address(&p.URL),
		"username":           text(&p.Username, "username"),
		"passwordEnv":        text(&p.PasswordEnv, "passwordEnv"),
		"passwordFile":       text(&p.PasswordFile, "passwordFile"),
		"caFile":             text(&p.CAFile, "caFile"),
		"insecureSkipVerify": truth(&p.InsecureSkipVerify, "insecureSkipVerify"),
		"systemID":           text(&p.SystemID, "systemID"),
	})
	if err != nil {
		return nil, err
	}
	return p, p.check(n, what)
}

func driver(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Value != DriverRedfish {
			return wrong(n, "the only driver is "+DriverRedfish, "driver is %s", kind(n))
		}
		*to = n.Value
		return nil
	}
}

// address reads a URL. The error does not repeat it where it may hold a
// password.
func address(to *string) func(*yaml.Node) error {
	const like = "write it like https://bmc.example"
	return func(n *yaml.Node) error {
		u, err := url.Parse(n.Value)
		switch {
		case n.Kind != yaml.ScalarNode || err != nil:
			return wrong(n, like, "url is not a URL")
		case u.User != nil:
			return wrong(n, "use username, and passwordEnv or passwordFile", "url holds a user or password")
		case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return wrong(n, like, "url is %s, not an http or https address", kind(n))
		case u.RawQuery != "" || u.Fragment != "":
			return wrong(n, like, "url has a query or a fragment")
		}
		*to = n.Value
		return nil
	}
}

// check finds keys that are missing or that do not go together.
func (p *Power) check(n *yaml.Node, what string) error {
	hasPassword := p.PasswordEnv != "" || p.PasswordFile != ""
	switch {
	case p.Driver == "":
		return wrong(n, "the only driver is "+DriverRedfish, "%s has no driver", what)
	case p.URL == "":
		return wrong(n, "", "%s has no url", what)
	case p.PasswordEnv != "" && p.PasswordFile != "":
		return wrong(n, "", "%s has both passwordEnv and passwordFile", what)
	case p.Username != "" && !hasPassword:
		return wrong(n, "add passwordEnv or passwordFile", "%s has a username and no password", what)
	case p.Username == "" && hasPassword:
		return wrong(n, "add username", "%s has a password and no username", what)
	case p.CAFile != "" && p.InsecureSkipVerify:
		return wrong(n, "", "%s has both caFile and insecureSkipVerify", what)
	}
	return nil
}

package talos

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// Whatever a talosconfig holds, it is read or refused.
func FuzzParseTalosconfig(f *testing.F) {
	for _, seed := range []string{
		"context: lab\ncontexts:\n  lab:\n    endpoints: [10.5.0.2]\n    nodes: [10.5.0.3]\n    ca: YQ==\n    crt: YQ==\n    key: YQ==\n",
		"context: omni\ncontexts:\n  omni:\n    endpoints: ['https://omni.example.com']\n    auth:\n      siderov1:\n        identity: me@example.com\n    cluster: one\n",
		"contexts:\n  old:\n    target: 10.5.0.2\n", "contexts: {a: null}", "", "[", "context: [a]", "a: &a [*a]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parse(strings.NewReader(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("parse(%q) = %q; want one line", text, err)
			}
			return
		}
		for name, c := range file.Contexts {
			cfg := &Config{Path: "talosconfig", Context: name, file: file, Endpoints: c.Endpoints}
			_, _ = tlsConfig(c)
			_ = cfg.check(c, time.Now())
		}
	})
}

// An endpoint that is accepted can be dialled: it has a host and a port.
func FuzzParseEndpoint(f *testing.F) {
	for _, seed := range []string{"10.5.0.2", "10.5.0.2:50000", "https://omni.example.com", "https://[fd00::1]:6443/x", "[fd00::1]", "fd00::1%eth0", "cp-1", "::", "https://", "a:0", "a:65536", " a "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseEndpoint(text)
		if err != nil {
			return
		}
		if _, err := netip.ParseAddr(at.host); at.port == 0 || at.host == "" || err != nil && !isName(at.host) {
			t.Errorf("parseEndpoint(%q) = %+v; want a host and a port", text, at)
		}
	})
}

// Every error of a member is kept, as an error or as an alarm.
func FuzzSplitAlarms(f *testing.F) {
	for _, seed := range []string{"memberID:162 alarm:NOSPACE", "memberID:-1 alarm:X", "memberID:18446744073709551616 alarm:NOSPACE", "etcdserver: no leader", "", "memberID:1 alarm:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		errs, raised := splitAlarms([]string{text})
		if len(errs)+len(raised) != 1 {
			t.Errorf("splitAlarms(%q) = %q, %v; want one of them", text, errs, raised)
		}
		if len(raised) == 1 && raised[0].Alarm == "" {
			t.Errorf("splitAlarms(%q) = %v; want an alarm with a kind", text, raised)
		}
	})
}

// A member's URLs give addresses, or nothing.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"https://10.5.0.2:2380", "https://[fd00::2]:2380", "unix:///x", "https://[::ffff:10.5.0.2]:1", "::", "http://localhost:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		for _, addr := range hosts(cluster.Member{PeerURLs: []string{url}}) {
			if !addr.IsValid() || addr.Is4In6() {
				t.Errorf("hosts(%q) = %v; want addresses that can be compared", url, addr)
			}
		}
	})
}

// A pod's status is what the kubelet says, of any shape.
func FuzzPodReady(f *testing.F) {
	for _, seed := range []string{
		`{"conditions":[{"type":"Ready","status":"True"}]}`, `{"conditions":{"type":"Ready"}}`, `{"conditions":[null,1,[],{"type":["Ready"]}]}`, `null`, `{"conditions":[{"type":{"a":1}}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var status map[string]any
		if json.Unmarshal([]byte(text), &status) != nil {
			return
		}
		if podReady(status) && (!strings.Contains(text, "R") && !strings.Contains(text, `\u`)) {
			t.Errorf("podReady(%s) = true without a condition Ready", text)
		}
	})
}

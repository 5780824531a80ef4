package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const whole = `# a comment
apiVersion: vipctl.dev/v1alpha1
vips: [10.0.0.100, "fd00::100"]
leaseTTL: 5s
nodes:
  cp-1:
    power:
      driver: redfish
      url: https://bmc-1.example:8443
      username: drill
      passwordEnv: CP1_PASSWORD
      caFile: ca.pem
      systemID: "1"
  cp-2:
    power: {driver: redfish, url: http://192.0.2.2, username: drill, passwordFile: /etc/secret, insecureSkipVerify: true}
  cp-3: {}
objectives:
  graceful: 1s
  hard: 1m5s
`

// write puts text into a file of its own and returns the path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	path := write(t, whole)
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		APIVersion: APIVersion,
		VIPs:       []netip.Addr{netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("fd00::100")},
		LeaseTTL:   Duration(5 * time.Second),
		Nodes: map[string]Node{
			"cp-1": {Power: &Power{Driver: "redfish", URL: "https://bmc-1.example:8443", Username: "drill",
				PasswordEnv: "CP1_PASSWORD", CAFile: filepath.Join(filepath.Dir(path), "ca.pem"), SystemID: "1"}},
			"cp-2": {Power: &Power{Driver: "redfish", URL: "http://192.0.2.2", Username: "drill",
				PasswordFile: "/etc/secret", InsecureSkipVerify: true}},
			"cp-3": {},
		},
		Objectives: map[string]Duration{"graceful": Duration(time.Second), "hard": Duration(65 * time.Second)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Load = %+v; want %+v", got, want)
	}
}

// What is marshalled from the types is what the parser accepts, so the tags
// and the parser's keys are the same.
func TestTypesAndParserAgree(t *testing.T) {
	want, err := parse("f", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{asJSON, asYAML} {
		if got, err := parse("f", text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parse(%s) = %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load(none) = %v; want fs.ErrNotExist that names the path", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	const head = "apiVersion: vipctl.dev/v1alpha1\n"
	power := func(keys string) string { return head + "nodes:\n  cp-1:\n    power: {" + keys + "}\n" }
	tests := []struct{ name, text, want, hint string }{
		{"an empty file", "", ":1: the file is empty", "apiVersion: vipctl.dev/v1alpha1"},
		{"no apiVersion", "vips: []\n", `:1: apiVersion is ""`, "apiVersion: vipctl.dev/v1alpha1"},
		{"another apiVersion", "apiVersion: v2\n", `:1: apiVersion is "v2"`, "vipctl.dev/v1alpha1"},
		{"an unknown key", head + "vip: 10.0.0.1\n", `:2: unknown key "vip" in the file`, "vips"},
		{"a key that does nothing yet", head + "hooks: {}\n", `:2: unknown key "hooks"`, ""},
		{"a key that comes twice", head + "leaseTTL: 5s\nleaseTTL: 6s\n", `:3: "leaseTTL" comes twice`, ""},
		{"two documents", head + "---\nvips: []\n", ":2: a second document", ""},
		{"no YAML", head + "vips: [\n", ": not YAML: ", ""},
		{"a list", "- a\n", ":1: the file is a list, not a mapping", ""},
		{"no address", head + "vips:\n- 10.0.0.1\n- tomato\n", `:4: vip is "tomato", not an IP address`, ""},
		{"the same VIP twice", head + "vips: [10.0.0.1, '::ffff:10.0.0.1']\n", ":2: vip 10.0.0.1 comes twice", ""},
		{"no address of one machine", head + "vips: [0.0.0.0]\n", ":2: 0.0.0.0 cannot be a VIP", ""},
		{"a number for a duration", head + "leaseTTL: 60\n", `:2: leaseTTL is "60", not a duration`, "60s"},
		{"a negative duration", head + "objectives:\n  hard: -1s\n", ":3: objective of hard is -1s, not above zero", ""},
		{"an unknown mode", head + "objectives:\n  hrad: 1s\n", `:3: unknown mode "hrad"`, "hard"},
		{"an unknown node key", head + "nodes:\n  cp-1:\n    powers: {}\n", `:4: unknown key "powers" in node cp-1`, "power"},
		{"another driver", power("driver: ipmi, url: https://b"), `:4: driver is "ipmi"`, "the only driver is redfish"},
		{"no driver", power("url: https://b"), ":4: power of cp-1 has no driver", "redfish"},
		{"no url", power("driver: redfish"), ":4: power of cp-1 has no url", ""},
		{"an empty power", head + "nodes:\n  cp-1:\n    power:\n", ":4: power of cp-1 has no driver", "redfish"},
		{"a url without a host", power("driver: redfish, url: 'https://'"), ":4: url is", "https://"},
		{"a password in the url", power("driver: redfish, url: 'https://u:hunter2@b'"), ":4: url holds a user or password", "passwordEnv"},
		{"two passwords", power("driver: redfish, url: https://b, username: u, passwordEnv: A, passwordFile: b"), "both passwordEnv and passwordFile", ""},
		{"a username alone", power("driver: redfish, url: https://b, username: u"), "a username and no password", "passwordEnv"},
		{"a password alone", power("driver: redfish, url: https://b, passwordEnv: A"), "a password and no username", "username"},
		{"a word for a truth", power("driver: redfish, url: https://b, insecureSkipVerify: maybe"), `insecureSkipVerify is "maybe", not true or false`, ""},
		{"CA and no check", power("driver: redfish, url: https://b, caFile: c, insecureSkipVerify: true"), "both caFile and insecureSkipVerify", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.text)
			_, err := Load(path)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Load(%q) = %v; want an *Error", tt.text, err)
			}
			if got := e.Error(); !strings.HasPrefix(got, path+":") || !strings.Contains(got, tt.want) {
				t.Errorf("Load(%q) = %q; want %q", tt.text, got, path+" ... "+tt.want)
			}
			if !strings.Contains(e.Hint(), tt.hint) {
				t.Errorf("hint of %q is %q; want %q in it", e, e.Hint(), tt.hint)
			}
			if strings.Contains(e.Error()+e.Hint(), "hunter2") {
				t.Errorf("the error tells a password: %q", e)
			}
		})
	}
}

func TestPassword(t *testing.T) {
	t.Setenv("BMC_SECRET", "from the environment")
	t.Setenv("BMC_EMPTY", "")
	tests := []struct {
		name  string
		power Power
		want  string
		err   string
	}{
		{"none", Power{}, "", ""},
		{"a variable", Power{PasswordEnv: "BMC_SECRET"}, "from the environment", ""},
		{"an empty variable", Power{PasswordEnv: "BMC_EMPTY"}, "", "BMC_EMPTY is not set"},
		{"a file with a line end", Power{PasswordFile: write(t, " of the file \n")}, " of the file ", ""},
		{"an empty file", Power{PasswordFile: write(t, "\n")}, "", "is empty"},
		{"no file", Power{PasswordFile: "/nowhere/secret"}, "", "/nowhere/secret"},
	}
	for _, tt := range tests {
		got, err := tt.power.Password()
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: Password() = %q, %v; want %q, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("apiVersion: vipctl.dev/v1alpha1\nnodes: &a\n  x: *a\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("<<: {vips: []}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("f", data)
		if err != nil {
			var e *Error
			if c != nil || !errors.As(err, &e) || e.File != "f" || e.Reason == "" {
				t.Fatalf("parse(%q) = %v, %#v", data, c, err)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("parse(%q) cannot be written: %v", data, err)
		}
		if back, err := parse("f", again); err != nil || back.APIVersion != APIVersion {
			t.Fatalf("parse(%s) = %v, %v; it was read from %q", again, back, err, data)
		}
	})
}

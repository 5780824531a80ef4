package talos

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/role"
)

func TestLoadSearchesAsTalosctl(t *testing.T) {
	w := newWorld(t)
	good := w.talosconfig(w.bundle, role.Reader, time.Hour, []string{"10.5.0.2"}, nil)
	home := t.TempDir()
	for _, tt := range []struct {
		name, flag, env, talosHome string
		want                       string // the path, or part of the error
	}{
		{name: "the flag wins", flag: good, env: "/nonexistent", want: good},
		{name: "then TALOSCONFIG", env: good, want: good},
		{name: "then TALOS_HOME", talosHome: filepath.Dir(good), want: "no talosconfig found"}, // it holds "talosconfig", not "config"
		{name: "a missing flag is an error", flag: filepath.Join(home, "a"), env: good, want: "no such file"},
		{name: "nothing anywhere", env: filepath.Join(home, "b"), want: filepath.Join(home, "b")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HOME", home)
			t.Setenv("TALOS_HOME", tt.talosHome)
			if tt.env != "" {
				t.Setenv("TALOSCONFIG", tt.env)
			}
			cfg, err := Load(Options{Talosconfig: tt.flag})
			switch {
			case err == nil && cfg.Path != tt.want:
				t.Errorf("Load = %s; want %s", cfg.Path, tt.want)
			case err != nil && (!strings.Contains(err.Error(), tt.want) || hint(err) == ""):
				t.Errorf("Load = %v (hint %q); want %q", err, hint(err), tt.want)
			}
			if left, _ := os.ReadDir(home); len(left) != 0 {
				t.Errorf("Load created %v", left)
			}
		})
	}
	if err := os.WriteFile(filepath.Join(home, "config"), mustRead(t, good), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TALOS_HOME", home)
	t.Setenv("TALOSCONFIG", filepath.Join(home, "missing"))
	if cfg, err := Load(Options{}); err != nil || cfg.Path != filepath.Join(home, "config") {
		t.Errorf("Load = %v, %v; want the first file that exists", cfg, err)
	}
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLoadRefuses(t *testing.T) {
	w := newWorld(t)
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "talosconfig")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := w.talosconfig(w.bundle, role.Reader, time.Hour, []string{"10.5.0.2"}, []string{"10.5.0.3"})
	expired := w.talosconfig(w.bundle, role.Reader, -time.Hour, []string{"10.5.0.2"}, nil)
	for _, tt := range []struct {
		name       string
		opts       Options
		want       error
		text, hint string
	}{
		{name: "a context that is not there", opts: Options{Talosconfig: good, Context: "prod"}, want: &ContextError{}, text: `no context "prod"`, hint: "--context: lab"},
		{name: "no current context", opts: Options{Talosconfig: file("contexts: {a: {endpoints: [10.5.0.2]}}")}, want: &ContextError{}, text: "no current context", hint: "a"},
		{name: "no endpoints", opts: Options{Talosconfig: file("context: a\ncontexts: {a: {}}")}, want: &EndpointsError{}, text: "has no endpoints", hint: "talosctl config endpoint --context a ADDRESS"},
		{name: "an endpoint that is none", opts: Options{Talosconfig: good, Endpoints: []string{"10.5.0.2 10.5.0.3"}}, want: &EndpointsError{}, text: "neither an address nor a name", hint: "--endpoints"},
		{name: "an expired certificate", opts: Options{Talosconfig: expired}, want: &CertificateError{}, text: "expired at " + time.Now().UTC().Format("2006-"), hint: "talosctl config new"},
		{name: "not YAML", opts: Options{Talosconfig: file("{{")}, want: &FileError{}, text: "talosconfig", hint: "--talosconfig"},
		{name: "empty", opts: Options{Talosconfig: file("")}, want: &FileError{}, text: "it is empty", hint: "--talosconfig"},
		{name: "an empty context", opts: Options{Talosconfig: file("context: a\ncontexts: {a: }")}, want: &FileError{}, text: `context "a" is empty`, hint: "--talosconfig"},
		{name: "a directory", opts: Options{Talosconfig: t.TempDir()}, want: &FileError{}, text: ": it is a directory", hint: "--talosconfig"},
		{name: "a certificate that is none", opts: Options{Talosconfig: file("context: a\ncontexts: {a: {endpoints: [10.5.0.2], crt: AAAA, key: AAAA}}")}, want: &FileError{}, text: `context "a"`, hint: "--talosconfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(hint(err), tt.hint) || reflect.TypeOf(err) != reflect.TypeOf(tt.want) {
				t.Errorf("Load = %T %v (hint %q); want %T %q (hint %q)", err, err, hint(err), tt.want, tt.text, tt.hint)
			}
		})
	}
	cfg, err := Load(Options{Talosconfig: good, Endpoints: []string{"10.5.0.4"}})
	if err != nil || cfg.Context != "lab" || cfg.Endpoints[0] != "10.5.0.4" || cfg.Nodes[0] != "10.5.0.3" || cfg.Timeout != DefaultTimeout {
		t.Errorf("Load = %+v, %v; want the context with the endpoint of the options", cfg, err)
	}
	if got, err := Contexts(good); err != nil || !reflect.DeepEqual(got, []string{"lab"}) {
		t.Errorf("Contexts = %v, %v; want [lab]", got, err)
	}
}

func TestParseEndpoint(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want hostPort
		ok   bool
	}{
		{"10.5.0.2", hostPort{"10.5.0.2", 50000}, true},
		{"10.5.0.2:50001", hostPort{"10.5.0.2", 50001}, true},
		{"fd00::2", hostPort{"fd00::2", 50000}, true},
		{"[fd00::2]", hostPort{"fd00::2", 50000}, true},
		{"[fd00::2]:1", hostPort{"fd00::2", 1}, true},
		{"cp-1.example.com", hostPort{"cp-1.example.com", 50000}, true},
		{"https://omni.example.com", hostPort{"omni.example.com", 443}, true},
		{"https://omni.example.com:8443", hostPort{"omni.example.com", 8443}, true},
		{"", hostPort{}, false},
		{"10.5.0.2:0", hostPort{}, false},
		{"10.5.0.2:65536", hostPort{}, false},
		{"a b", hostPort{}, false},
	} {
		if got, err := parseEndpoint(tt.in); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseEndpoint(%q) = %v, %v; want %v, %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

// Whatever a talosconfig holds, Load says what is wrong with it, and what it
// accepts can make a client.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("context: a\ncontexts: {a: {endpoints: [10.5.0.2], crt: AAAA, key: AAAA}}"))
	f.Add([]byte("context: a\ncontexts: {a: {target: 10.5.0.2, ca: AAAA}}"))
	f.Add([]byte("context: a\ncontexts: {a: {endpoints: ['https://h:1'], auth: {basic: {username: u}}}}"))
	f.Add([]byte("contexts: {a: }"))
	path := filepath.Join(f.TempDir(), "talosconfig")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(Options{Talosconfig: path})
		if err != nil {
			if hint(err) == "" {
				t.Errorf("Load = %v without a hint", err)
			}
			return
		}
		if len(cfg.Endpoints) == 0 || cfg.Context == "" && len(cfg.file.Contexts) == 0 {
			t.Errorf("Load = %+v", cfg)
		}
		c, err := New(cfg)
		if err != nil {
			if hint(err) == "" {
				t.Errorf("New = %v without a hint", err)
			}
			return
		}
		_ = c.Close()
	})
}

// When a certificate is good is told by both of its ends.
func TestWhenACertificateIsGood(t *testing.T) {
	w := newWorld(t)
	cfg, err := Load(Options{Talosconfig: w.talosconfig(w.bundle, role.Reader, time.Hour, []string{"10.5.0.2"}, nil), Timeout: -time.Second})
	if err != nil || cfg.Timeout != DefaultTimeout {
		t.Fatalf("Load with a negative timeout = %+v, %v; want %s", cfg, err, DefaultTimeout)
	}
	for _, tt := range []struct {
		name string
		now  time.Time
		want string
	}{
		{"today", time.Now(), ""},
		{"this machine's clock is years behind", time.Now().AddDate(-9, 0, 0), "is not valid before"},
		{"it is too late", time.Now().Add(2 * time.Hour), "expired at"},
	} {
		err := cfg.check(cfg.file.Contexts[cfg.Context], tt.now)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: check = %v; want %q", tt.name, err, tt.want)
		}
	}
}

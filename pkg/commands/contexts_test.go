package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/config"
	"github.com/vipctl/vipctl/pkg/kube"
	"github.com/vipctl/vipctl/pkg/report"
)

// contextsFile writes a talosconfig with the contexts named, each at an address
// where nobody listens, and returns its path.
func contextsFile(t *testing.T, names ...string) string {
	t.Helper()
	text := "context: " + names[0] + "\ncontexts:\n"
	for _, name := range names {
		text += "  " + name + ":\n    endpoints: [127.0.0.1:1]\n"
	}
	path := filepath.Join(t.TempDir(), "talosconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// askNamed runs "owner args..." on the contexts a, b and c with a question that
// is answered at once: by an error, an exit code, or well.
func askNamed(t *testing.T, answers map[string]any, args ...string) (items []report.Item[string], code cli.ExitCode, err error) {
	t.Helper()
	h := newHarness(t)
	cmd := h.f.onClusters(&cobra.Command{Use: "owner", RunE: func(cmd *cobra.Command, _ []string) error {
		items, code, err = askEach(cmd.Context(), h.f, func(_ context.Context, f *Factory) (*string, cli.ExitCode, error) {
			f.Streams.Errorf("warning: asked")
			cfg, err := f.Talosconfig()
			if err != nil {
				return nil, 0, err
			}
			switch answer := answers[cfg.Context].(type) {
			case error:
				return nil, 0, answer
			case cli.ExitCode:
				return &cfg.Context, answer, nil
			}
			return &cfg.Context, cli.ExitOK, nil
		})
		for _, i := range items {
			if name := contextOf(i); name != "" && !strings.Contains(h.err.String(), name+": warning: asked\n") {
				t.Errorf("stderr = %q; want a warning of %s", h.err, name)
			}
		}
		return nil
	}})
	cmd.SetArgs(append(args, "--talosconfig", contextsFile(t, "a", "b", "c")))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if failed := cmd.ExecuteContext(t.Context()); failed != nil {
		err = failed
	}
	return items, code, err
}

func contextOf(i report.Item[string]) string {
	if i.Document != nil {
		return *i.Document
	}
	return i.Failure.Context
}

func TestAskingSeveralContexts(t *testing.T) {
	dead := errors.New("no Talos node answered")
	for _, tt := range []struct {
		name    string
		args    string
		answers map[string]any
		want    string // the contexts in order, "!" behind one that failed
		code    cli.ExitCode
	}{
		{"all of the file are sorted", "--all-contexts", nil, "a b c", cli.ExitOK},
		{"named ones are in the order asked", "--context c,a", nil, "c a", cli.ExitOK},
		{"repeated flags add up, and one is asked once", "--context c --context b,c", nil, "c b", cli.ExitOK},
		{"one that is dead is an item, and counts", "--all-contexts", map[string]any{"b": dead}, "a b! c", cli.ExitFailed},
		{"a bad verdict outweighs one that is dead", "--all-contexts", map[string]any{"b": dead, "a": cli.ExitBad}, "a b! c", cli.ExitBad},
		{"a split brain outweighs all", "--all-contexts", map[string]any{"a": cli.ExitInconclusive, "b": dead, "c": cli.ExitSplitBrain}, "a b! c", cli.ExitSplitBrain},
		{"wrong configuration of one is no wrong usage of all", "--all-contexts", map[string]any{"b": cli.Usagef("no endpoints")}, "a b! c", cli.ExitFailed},
		{"all dead", "--context a,b", map[string]any{"a": dead, "b": dead}, "a! b!", cli.ExitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			items, code, err := askNamed(t, tt.answers, strings.Fields(tt.args)...)
			var got []string
			for _, i := range items {
				name := contextOf(i)
				if i.Failure != nil {
					name += "!"
				}
				got = append(got, name)
			}
			if err != nil || strings.Join(got, " ") != tt.want || code != tt.code {
				t.Errorf("owner %s = %q, exit code %d, %v; want %q, %d", tt.args, got, code, err, tt.want, tt.code)
			}
		})
	}
}

func TestHintForOne(t *testing.T) {
	for _, tt := range []struct{ hint, want string }{
		{"", ""},
		{"sign in anew", "sign in anew"},
		{"check --endpoints; --timeout gives longer; or --vip ADDRESS", "check --endpoints; --timeout gives longer; or --vip ADDRESS (--endpoints, --vip only with one --context)"},
	} {
		if got := hintForOne(tt.hint); got != tt.want {
			t.Errorf("hintForOne(%q) = %q; want %q", tt.hint, got, tt.want)
		}
	}
}

func TestContextsThatCannotBeAskedTogether(t *testing.T) {
	for _, tt := range []struct{ args, err, hint string }{
		{"owner --context a,bb", `has no context "bb"`, "a, b, c"},
		{"etcd --all-contexts --context a", "exclude each other", "repeated"},
		{"owner --all-contexts -n cp-1", "--nodes is for one cluster", "--context"},
		{"owner --context a,b -e 127.0.0.1", "--endpoints is for one cluster", "--context"},
		{"owner --context a,b --vip 10.5.0.50", "--vip is for one cluster", "--context"},
		{"doctor --all-contexts --save x", "--save is for one cluster", "--context"},
		{"doctor --context a,b --from x", "--from is for one cluster", "--context"},
		{"failover-test --mode hard --context a,b", "a drill disturbs one cluster", "name one"},
	} {
		h := newHarness(t)
		path := contextsFile(t, "a", "b", "c")
		code := h.run(append(strings.Fields(tt.args), "--talosconfig", path)...)
		said := h.err.String()
		if code != cli.ExitUsage || !strings.Contains(said, tt.err) || !strings.Contains(said, tt.hint) || h.out.Len() > 0 {
			t.Errorf("vipctl %s = exit code %d, %q; want %d, %q and %q", tt.args, code, said, cli.ExitUsage, tt.err, tt.hint)
		}
	}
}

// The documents themselves, of clusters at which nobody listens.
func TestListsOfDeadContexts(t *testing.T) {
	path := contextsFile(t, "b", "a")
	for command, kind := range map[string]string{
		"owner": report.KindOwnershipList, "etcd": report.KindEtcdList, "doctor": report.KindDoctorList,
	} {
		h := newHarness(t)
		code := h.run(command, "--all-contexts", "-o", "json", "--timeout", "2s", "--talosconfig", path)
		var doc struct {
			Kind  string
			Items []report.ErrorReport
		}
		if err := json.Unmarshal(h.out.Bytes(), &doc); err != nil {
			t.Fatalf("%s: %v: %s%s", command, err, h.out, h.err)
		}
		if code != cli.ExitFailed || doc.Kind != kind || len(doc.Items) != 2 {
			t.Errorf("%s = exit code %d, %s; want 1, %s of two", command, code, h.out, kind)
		}
		for i, context := range []string{"a", "b"} {
			if e := doc.Items[i]; e.Context != context || e.ExitCode != 1 || e.Hint == "" || !strings.Contains(e.Error, "127.0.0.1:1") {
				t.Errorf("%s: item %d = %+v; want why %s was not asked", command, i, e, context)
			}
		}
		table := newHarness(t)
		table.run(command, "--all-contexts", "--timeout", "2s", "--talosconfig", path)
		if out := table.out.String(); !strings.HasPrefix(out, "CONTEXT ") || !strings.Contains(out, "\na  ") || !strings.Contains(out, "\nb  ") {
			t.Errorf("%s: table\n%s\nwant a row of each context", command, out)
		}
	}
}

// One context is no list, however it is named.
func TestOneContextIsNoList(t *testing.T) {
	path := contextsFile(t, "a", "b")
	for _, args := range []string{"", "--context b", "--context b,b"} {
		h := newHarness(t)
		h.run(append([]string{"owner", "-o", "json", "--timeout", "2s", "--talosconfig", path}, strings.Fields(args)...)...)
		var doc struct{ Kind, Context, Error string }
		if err := json.Unmarshal(h.out.Bytes(), &doc); err != nil || doc.Kind != report.KindError || doc.Context != "" || !strings.Contains(doc.Error, "127.0.0.1:1") {
			t.Errorf("owner %s wrote %s; want one Error without a context", args, h.out)
		}
	}
}

// TestContextsAreBounded counts how many are asked at once.
func TestContextsAreBounded(t *testing.T) {
	names := make([]string, 3*atOnce)
	for i := range names {
		names[i] = fmt.Sprintf("c%03d", i)
	}
	h := newHarness(t)
	h.f.flags.AllContexts, h.f.flags.Talosconfig = true, contextsFile(t, names...)
	var now, most atomic.Int32
	items, _, err := askEach(t.Context(), h.f, func(_ context.Context, f *Factory) (*string, cli.ExitCode, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond) // so that they overlap
		return &f.flags.Context, 0, nil
	})
	if err != nil || len(items) != len(names) || most.Load() > atOnce || most.Load() < 2 {
		t.Errorf("%d items, %d asked at once, %v; want %d, and 2 to %d", len(items), most.Load(), err, len(names), atOnce)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := askEach(ended, h.f, func(context.Context, *Factory) (*string, cli.ExitCode, error) {
		t.Error("a context was asked after Ctrl-C")
		return nil, 0, nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("askEach(cancelled) = %v; want that it was cancelled", err)
	}
}

func TestContextsAreCompletedInLists(t *testing.T) {
	for typed, want := range map[string][]string{"": {"a", "b", "c"}, "b": {"a", "b", "c"}, "b,": {"b,a", "b,c"}, "b,a,c": {"b,a,c"}} {
		h := newHarness(t)
		h.f.flags.Talosconfig = contextsFile(t, "c", "b", "a")
		if got, _ := h.f.completeContexts(nil, nil, typed); !slices.Equal(got, want) {
			t.Errorf("completeContexts(%q) = %q; want %q", typed, got, want)
		}
	}
}

// Every flag either holds for each of several clusters or is refused.
func TestEveryFlagOfOneClusterIsRefusedWithSeveral(t *testing.T) {
	ofEach := []string{
		"all-contexts", "context", "talosconfig", "siderov1-keys-dir", "timeout", "output", "help", "election",
		"wait", "only", "skip", "category", "fail-on", "without", "no-color", "config",
	}
	h := newHarness(t)
	h.f.flags.AllContexts = true
	for _, cmd := range newRootCommand(h.f).Commands() {
		if !slices.Contains([]string{"owner", "etcd", "doctor"}, cmd.Name()) {
			continue
		}
		h.f.flags.AllContexts = true
		cmd.InheritedFlags() // merges those of the root
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if slices.Contains(ofEach, flag.Name) {
				return
			}
			flag.Changed = true
			defer func() { flag.Changed = false }()
			if err := h.f.checkContexts(cmd); err == nil || !strings.Contains(err.Error(), "--"+flag.Name+" is for one cluster") {
				t.Errorf("vipctl %s --all-contexts --%s: %v; want that it is for one cluster", cmd.Name(), flag.Name, err)
			}
		})
	}
}

// A VIP and a kubeconfig that the environment or a file names are one cluster's:
// no other is asked for the one, and none is shown the other.
func TestOneOfSeveralContextsTakesNothingOfAnother(t *testing.T) {
	h := newHarness(t)
	h.f.flags.AllContexts, h.f.flags.Talosconfig, h.f.flags.Timeout = true, contextsFile(t, "a", "b"), time.Second
	theirs := &config.Config{VIPs: []netip.Addr{netip.MustParseAddr("10.5.0.50")}}
	h.f.Config = func() (*config.Config, error) { return theirs, nil }
	h.f.Kube = func() (*kube.Client, error) { return nil, errors.New("the kubeconfig was read") }
	names, open, err := h.f.contexts()
	if err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Fatalf("contexts = %q, %v; want a and b", names, err)
	}
	for _, name := range names {
		one := open(name)
		if cfg, err := one.Config(); err != nil || len(cfg.VIPs) > 0 {
			t.Errorf("%s is asked for %v, %v; want its own VIPs only", name, cfg.VIPs, err)
		}
		if client, err := one.Kube(); err != nil || client.Authenticated() {
			t.Errorf("%s: the kubeconfig is used: %v; want it left alone", name, err)
		}
	}
	if len(theirs.VIPs) != 1 {
		t.Errorf("the configuration has the VIPs %v now; want it as it was", theirs.VIPs)
	}
}

func TestEachLineOfAWarningIsNamed(t *testing.T) {
	var out strings.Builder
	var mu sync.Mutex
	text := "warning: one\nhint: two\n"
	if n, err := (&named{mu: &mu, to: &out, name: "b"}).Write([]byte(text)); n != len(text) || err != nil || out.String() != "b: warning: one\nb: hint: two\n" {
		t.Errorf("Write = %d, %v, and wrote %q; want %d, and the name before each line", n, err, out.String(), len(text))
	}
}

package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
)

// walk calls visit for every command that a user can see.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	capital := func(s string) bool { return s != "" && unicode.IsUpper([]rune(s)[0]) }
	walk(newRootCommand(newHarness(t).f), func(cmd *cobra.Command) {
		if cmd.Name() == "help" {
			return // cobra's own
		}
		if !capital(cmd.Short) || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short = %q; want a capital at the start and no full stop", cmd.CommandPath(), cmd.Short)
		}
		if cmd.Runnable() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	})
}

// An example is a promise: the commands and flags it names must exist.
func TestExamplesNameWhatExists(t *testing.T) {
	line := regexp.MustCompile(`(?m)^\s*(?:[a-z]+ <\()?(vipctl .*?)\)?$`)
	walk(newRootCommand(newHarness(t).f), func(cmd *cobra.Command) {
		for _, m := range line.FindAllStringSubmatch(cmd.Example, -1) {
			checkExample(t, m[1])
		}
	})
}

// The same promise in the documents: in their code blocks.
func TestDocumentsNameWhatExists(t *testing.T) {
	line := regexp.MustCompile(`(?m)^(?:\$ )?(?:go run \./cmd/)?(vipctl .*?)(?: +#.*)?$`)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "docs/cli.md", "docs/architecture.md", "pkg/lab/README.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```")
		for i := 1; i < len(blocks); i += 2 {
			for _, m := range line.FindAllStringSubmatch(blocks[i], -1) {
				checkExample(t, m[1])
			}
		}
	}
}

// checkExample checks the commands, flags and arguments of a line; of a line
// with "--" both sides.
func checkExample(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " >")
	line, _, _ = strings.Cut(line, " |")
	line, inner, _ := strings.Cut(line, " -- ")
	if strings.HasPrefix(inner, "vipctl ") {
		checkExample(t, inner)
	}
	args := strings.Fields(line)[1:]
	if inner != "" {
		args = append(append(args, "--"), strings.Fields(inner)...)
	}
	cmd, rest, err := newRootCommand(newHarness(t).f).Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("example %q: %v", line, err)
	}
}

func TestBadUsage(t *testing.T) {
	for _, tt := range []struct {
		name       string
		args       string
		err, hint  string
		wantNoJSON bool
	}{
		{"an unknown command", "ownr", `unknown command "ownr"`, "did you mean owner?", false},
		{"help on an unknown command", "help ownr", `unknown command "ownr"`, "did you mean owner?", false},
		{"help on an unknown command of lab", "help lab falt", `unknown command "falt"`, "did you mean fault?", false},
		{"an unknown flag", "owner --no-such", "unknown flag: --no-such", "vipctl owner --help", false},
		{"a misspelt flag", "owner --contxt x", "unknown flag: --contxt", "did you mean --context?", false},
		{"a duration without its unit", "owner --timeout 5", "missing unit", "200ms, 5s, 2m", false},
		{"a loss of nobody", "etcd --without=", "--without names nobody", "--without cp-2,cp-3", false},
		{"a VIP of a variable that is not set", "owner --vip=", "--vip has no value", "give --vip a value, or leave it out", false},
		{"the same of the doctor's", "doctor --vip=", "--vip has no value", "give --vip a value, or leave it out", false},
		{"the same of a snapshot's", "owner --from - --vip=", "--vip has no value", "give --vip a value, or leave it out", false},
		{"a drill on the VIP of such a variable", "failover-test --mode hard --vip=", "--vip has no value", "give --vip a value", false},
		{"a drill on the cluster of such a variable", "failover-test --mode hard --context=", "--context has no value", "give --context a value", false},
		{"a drill on the clusters of two such variables", "failover-test --mode hard --context ,", "--context has no value", "give --context a value", false},
		{"a drill with the talosconfig of such a variable", "failover-test --mode hard --talosconfig=", "--talosconfig has no value", "leave it out", false},
		{"a drill with the objective of such a variable", "failover-test --mode hard --max-outage=", "--max-outage has no value", "leave it out", false},
		{"a look for which empty flags are none", "owner --context= --nodes= --endpoints= --talosconfig no/such", "no/such", "--talosconfig", false},
		{"no time for an answer", "etcd --timeout 0", "--timeout: 0s is not a positive duration", "--timeout 5s", false},
		{"an argument too many", "owner cp-1", `vipctl owner takes no argument, got "cp-1"`, "vipctl owner --help", false},
		{"an unknown format", "owner -o xml", `unknown output format "xml"`, "table, wide, json, yaml", true},
		{"a VIP that is none", "owner --vip ten", `"ten" is not an IP address`, "10.5.0.50", false},
		{"a negative timeout", "owner --timeout -1s", "--timeout: -1s is not a positive duration", "--timeout 5s", false},
		{"no mode", "failover-test", "--mode is required", "graceful, force, hard", false},
		{"an unknown mode", "failover-test --mode soft-ish", `unknown mode "soft-ish"`, "graceful, force, hard", false},
		{"no rounds", "failover-test --mode hard --rounds 0", "--rounds: 0 is less", "--rounds 3", false},
		{"a negative interval", "failover-test --mode hard --interval -20ms", "--interval: -20ms is too short", "at least 1ms", false},
		{"an objective that is none", "failover-test --mode hard --max-outage soon", `"soon" is not a positive duration`, "hard=65s", false},
		{"an objective for no mode", "failover-test --mode hard --max-outage easy=2s", `unknown mode "easy"`, "graceful", false},
		{"a shell that is none", "completion tcsh", "needs the name of one shell", "fish", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			args := strings.Fields(tt.args)
			if code := h.run(args...); code != cli.ExitUsage {
				t.Errorf("vipctl %s = exit code %d; want %d", tt.args, code, cli.ExitUsage)
			}
			if got := h.err.String(); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, tt.err) {
				t.Errorf("vipctl %s said %q; want error: ...%s", tt.args, got, tt.err)
			}
			if got := h.err.String(); !strings.Contains(got, "\nhint: ") || !strings.Contains(got, tt.hint) {
				t.Errorf("vipctl %s said %q; want hint: ...%s", tt.args, got, tt.hint)
			}
			if h.out.Len() > 0 {
				t.Errorf("vipctl %s wrote %q to stdout; want nothing", tt.args, h.out.String())
			}
			if !tt.wantNoJSON {
				h := newHarness(t)
				h.run(append(args, "-o", "json")...)
				var doc struct {
					Kind, Error string
					ExitCode    int
				}
				if err := json.Unmarshal(h.out.Bytes(), &doc); err != nil || doc.Kind != "Error" || doc.ExitCode != int(cli.ExitUsage) {
					t.Errorf("vipctl %s -o json wrote %q (%v); want one Error document", tt.args, h.out.String(), err)
				}
			}
		})
	}
}

// Nodes tell their addresses in one form, and a VIP that is written in another is
// the same one.
func TestAVIPIsTakenInAnyForm(t *testing.T) {
	for typed, want := range map[string]string{
		"10.5.0.50": "10.5.0.50", "::ffff:10.5.0.50": "10.5.0.50", "fd00:0::50": "fd00::50", "fe80::50%eth0": "fe80::50",
	} {
		list, err := (&flags{VIPs: []string{typed}}).vips()
		if err != nil || len(list) != 1 || list[0].String() != want {
			t.Errorf("--vip %q = %v, %v; want %s", typed, list, err, want)
		}
	}
}

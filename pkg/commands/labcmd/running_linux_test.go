package labcmd

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/labtest"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

// TestMain lets the test binary be what the lab starts it as.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == process.Command {
		os.Exit(lab.RunProcess(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func TestCommandsOnARunningLab(t *testing.T) {
	if testing.Short() {
		t.Skip("a lab takes seconds")
	}
	name := fmt.Sprintf("labcmd-%d", os.Getpid())
	spec := lab.Spec{Name: name, ControlPlanes: 1, LeaseTTL: 20 * time.Second}.Default()
	l, err := lab.Up(t.Context(), spec, lab.Options{})
	if err != nil {
		labtest.Unavailable(t, err)
	}
	t.Cleanup(func() { _ = l.Down(context.Background()) })
	completed := func(typed string, want ...string) {
		t.Helper()
		if got, files := offers(t, append([]string{"--name", name}, strings.Split(typed, " ")...)...); !slices.Equal(got, want) || files {
			t.Errorf("completing %q = %q, files %v; want %q", typed, got, files, want)
		}
	}
	for _, row := range []struct { // one after the other
		args string
		code cli.ExitCode
		want string // a pattern in what is printed, the error among it
	}{
		{"status -o yaml", cli.ExitOK, `(?s)kind: LabStatus\n.*faults: \[\]\n`},
		{"list -o json", cli.ExitOK, `(?s)"kind": "LabList".*"name": "` + name + `".*"nodes": \[\s*"cp-1"\s*\].*"holders": \[\s*"cp-1"`},
		{"list -o yaml", cli.ExitOK, `(?s)kind: LabList\n.*- name: ` + name + `\n  nodes:\n  - cp-1\n  ready: true`},
		{"list -o name", cli.ExitOK, `(?m)^` + name + `$`},
		{"list", cli.ExitOK, `(?m)^` + name + ` +yes +1 +10\.5\.0\.50 on cp-1$`},
		{"logs cp-7", cli.ExitUsage, `there is no node "cp-7"`},
		{"fault inject freeze cp-7", cli.ExitUsage, `there is no node "cp-7"`},
		{"fault inject partition cp-1 --from cp-7", cli.ExitUsage, `there is no other host "cp-7"`},
		{"fault inject lose-garp --vip 10.5.0.51", cli.ExitUsage, `10.5.0.51 is not a VIP of this lab`},
		{"fault undo freeze", cli.ExitFailed, `freeze is not injected`},
		{"fault undo freeze owner", cli.ExitFailed, `freeze is not injected on a node that is or was the owner`},
		{"fault inject delay owner --delay 2ms", cli.ExitOK, `^delay is injected on cp-1\n$`},
		{"fault inject delay cp-1", cli.ExitFailed, `delay is injected on cp-1 already`},
		{"fault inject foreign-host", cli.ExitOK, ``},
		{"fault list", cli.ExitOK, `(?m)^delay +cp-1 \(delay 2ms\)$`},
		{"fault list -o yaml", cli.ExitOK, `(?s)active:\n- args:\n    delay: 2ms\n.*- fault: foreign-host\n`},
		{"status", cli.ExitOK, `(?s)Faults of the network: foreign-host\n.*delay \(delay 2ms\)\n`},
		{"fault undo delay owner", cli.ExitOK, ``},
		{"fault undo --all", cli.ExitOK, ``},
		{"power on cp-7", cli.ExitUsage, `there is no node "cp-7"`},
		{"power on cp-1", cli.ExitOK, `^$`}, // as it is
		{"status", cli.ExitOK, `(?m)^cp-1 .* -$`},
		{"events -o yaml", cli.ExitOK, `(?s)---\n.*kind: fault-injected\n`},
	} {
		args := strings.Fields("lab " + row.args + " --name " + name)
		out, err := run(args...)
		if err != nil {
			out += err.Error()
		}
		if got := cli.CodeOf(err); got != row.code || !regexp.MustCompile(row.want).MatchString(out) {
			t.Errorf("vipctl lab %s exits %d with\n%s\nwant %d and %q", row.args, got, out, row.code, row.want)
		}
		if err != nil && cli.HintOf(err) == "" {
			t.Errorf("vipctl lab %s = %v without a hint", row.args, err)
		}
	}
	completed("power on ", "cp-1", lab.Owner)
	completed("fault inject freeze ", "cp-1", lab.Owner)
	completed("fault inject foreign-host ")
	completed("fault inject foreign-host --vip ", "10.5.0.50")
	completed("fault inject partition cp-1 --from cp-1,", "cp-1,workstation")
	completed("fault undo ")
	if _, err := run(strings.Fields("lab fault inject delay cp-1 --name " + name)...); err != nil {
		t.Fatal(err)
	}
	completed("fault undo ", "delay")
	completed("fault undo delay ", "cp-1")
	completed("fault undo loss ")
}

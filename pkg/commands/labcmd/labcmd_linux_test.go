package labcmd

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
)

// run runs `vipctl lab ARGS` and returns what it printed.
func run(args ...string) (string, error) {
	var out bytes.Buffer
	root := &cobra.Command{Use: "vipctl", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(New(&cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}), NewProcess())
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

func TestWrongUsage(t *testing.T) {
	for name, row := range map[string]struct{ args, want string }{
		"no command to run":         {"lab run", "requires at least 1 arg"},
		"six control planes":        {"lab up --control-planes 6", "control-planes: 6"},
		"six workers":               {"lab up --workers 6", "workers: 6"},
		"a link twice":              {"lab up --vip-link eth0,eth1", "vip-link: eth1 is for nodes that have one already"},
		"a link of nobody":          {"lab up --vip-link cp-9=eth0", `there is no node "cp-9"`},
		"a VLAN too high":           {"lab up --vlan 4095", "vlan: 4095"},
		"three subnets":             {"lab run --subnets 3 -- true", "subnets: 3"},
		"a release too old":         {"lab up --talos-version v1.7.0", "older than v1.8"},
		"documents too early":       {"lab up --talos-version v1.11.6 --config-style documents", "has no documents"},
		"two VIPs too early":        {"lab up --talos-version v1.11.6 --vip 10.5.0.50 --vip fd10:5::50", "one VIP a link"},
		"half a second of lease":    {"lab up --lease-ttl 2500ms", "lease-ttl: 2.5s"},
		"a VIP that is none":        {"lab up --vip x", `"x" is not an address`},
		"a VIP on a node":           {"lab up --vip 10.5.0.2", "is a node's address"},
		"an unknown node":           {"lab up --vip-nodes cp-7", `there is no node "cp-7"`},
		"a timeout of nothing":      {"lab run --timeout 0s -- true", "timeout: 0s"},
		"an unknown command":        {"lab frob", `unknown command "frob"`},
		"an unknown fault command":  {"lab fault frob", `unknown command "frob"`},
		"no fault named":            {"lab fault inject", "accepts between 1 and 2"},
		"an unknown format":         {"lab status -o yml", `unknown output format "yml"`},
		"logs of nothing":           {"lab logs", "accepts 1 arg"},
		"two labs to take down":     {"lab down a b", "accepts at most 1 arg"},
		"a process without its arg": {"lab-process etcd", "accepts 2 arg"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(strings.Fields(row.args)...)
			if cli.CodeOf(err) != cli.ExitUsage || !strings.Contains(err.Error(), row.want) || cli.HintOf(err) == "" {
				t.Errorf("vipctl %s = %v (exit %d, hint %q); want %q, exit 2 and a hint",
					row.args, err, cli.CodeOf(err), cli.HintOf(err), row.want)
			}
		})
	}
}

func TestNoSuchLab(t *testing.T) {
	for _, args := range []string{
		"lab status", "lab events", "lab logs cp-1", "lab down", "lab exec -- true", "lab fault inject freeze cp-1", "lab fault undo freeze",
	} {
		name := "there-is-none"
		_, err := run(append(strings.Fields(args)[:2:2], append([]string{"--name", name}, strings.Fields(args)[2:]...)...)...)
		if cli.CodeOf(err) != cli.ExitFailed || !strings.Contains(err.Error(), name) || !strings.Contains(cli.HintOf(err), "vipctl lab up") {
			t.Errorf("vipctl %s = %v (hint %q); want that %s is not running, and how to start it", args, err, cli.HintOf(err), name)
		}
	}
}

func TestFaultListNeedsNoLab(t *testing.T) {
	out, err := run("lab", "fault", "list", "--name", "there-is-none")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lab.Faults() {
		if !strings.Contains(out, f.Name) || !strings.Contains(out, f.What) {
			t.Errorf("fault list = %q; want %s in it", out, f.Name)
		}
	}
}

func TestStatusTable(t *testing.T) {
	var out bytes.Buffer
	err := writeStatus(&out, lab.Status{
		Name: "default", LeaseTTLSeconds: 5, BootTimeSeconds: 3, TalosVersion: "v1.13.9",
		ConfigStyle: "documents",
		Segments: []lab.SegmentStatus{
			{Name: "main", Subnets: []string{"10.5.0.0/24", "fd10:5::/64"}},
			{Name: "vlan-100", Subnets: []string{"10.6.0.0/24", "fd10:6::/64"}, VLAN: 100},
		},
		VIPs: []lab.VIPStatus{{Address: "10.5.0.50"}, {Address: "10.9.0.1", Note: "it is elsewhere"}},
		Nodes: []lab.NodeStatus{
			{Name: "cp-1", Role: "controlplane", Address: "10.5.0.2", BMC: "10.5.0.102", Power: lab.PowerOn, PID: 7, VIPs: []string{"10.5.0.50"},
				Links: []lab.LinkStatus{{Name: "eth0", Addresses: []string{"10.5.0.2/24", "fd10:5::2/64"}}, {Name: "eth0.100", Addresses: []string{"10.6.0.2/24"}}}},
			{Name: "worker-1", Role: "worker", Address: "10.5.0.3", BMC: "10.5.0.103", Power: lab.PowerOff, Faults: []string{"power-off"}},
		},
	})
	want := `Lab default: Talos v1.13.9, lease 5s, boot 3s, etcd's health checked at once (Talos: first after 5 s; see --talos-timing)
Networks: main 10.5.0.0/24 fd10:5::/64, vlan-100 10.6.0.0/24 fd10:6::/64; configuration style: documents
VIP 10.5.0.50: held by nobody
VIP 10.9.0.1: held by nobody
  it is elsewhere

NODE      ROLE          ADDRESS                               BMC         POWER  PID  VIP        FAULTS
cp-1      controlplane  10.5.0.2 fd10:5::2 eth0.100:10.6.0.2  10.5.0.102  on     7    10.5.0.50  -
worker-1  worker        10.5.0.3                              10.5.0.103  off    -    -          power-off
`
	if err != nil || out.String() != want {
		t.Errorf("writeStatus = %v\n%s\nwant\n%s", err, out.String(), want)
	}
}

func TestWorkingDirectoryThatIsGone(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got := workingDirectory(); got != "/" {
		t.Errorf("workingDirectory() in a directory that was removed = %q; want /", got)
	}
}

package labcmd

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
)

// run runs `vipctl lab ARGS` and returns what it printed.
func run(args ...string) (string, error) {
	var out bytes.Buffer
	root := &cobra.Command{Use: "vipctl", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().StringP("output", "o", "table", "") // vipctl has it for every command
	root.AddCommand(New(&cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}), NewProcess())
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

func TestWrongUsage(t *testing.T) {
	for name, row := range map[string]struct{ args, want string }{
		"no command to run":         {"lab run", "no command to run"},
		"nothing to execute":        {"lab exec --name x", "no command to run"},
		"a lab's name to start":     {"lab up five", `takes no argument, got "five"`},
		"a lab's name to show":      {"lab status five", `takes no argument, got "five"`},
		"a document of a run":       {"lab run -o json -- true", "vipctl lab run has no -o"},
		"a document of a way down":  {"lab down -o yaml", "vipctl lab down has no -o"},
		"a document of a deed":      {"lab fault inject freeze cp-1 -o json", "inject has no -o"},
		"a wide lab":                {"lab up -o wide", `unknown output format "wide"`},
		"power to be put warm":      {"lab power warm cp-1", `power cannot be put "warm"`},
		"power of nobody":           {"lab power on", "accepts 2 arg"},
		"a lab that cannot be":      {"lab status --name A", `"A" is not a lab name`},
		"a lab that never was":      {"lab down A", `"A" is not a lab name`},
		"a clock put by nothing":    {"lab fault inject clock-skew cp-1", "clock-skew needs --offset"},
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
		"an unknown fault":          {"lab fault inject frost cp-1", `there is no fault "frost"`},
		"an unknown fault to undo":  {"lab fault undo frost", `there is no fault "frost"`},
		"a fault without its node":  {"lab fault inject freeze", "freeze needs a node"},
		"a node for the network":    {"lab fault inject foreign-host cp-1", "takes no node"},
		"a node to free of it":      {"lab fault undo foreign-host cp-1", "on no node"},
		"another fault's flag":      {"lab fault inject freeze cp-1 --percent 2", "the fault freeze takes no --percent"},
		"a flag's empty value":      {"lab fault inject delay cp-1 --delay=", `--delay ""`},
		"a loss of 200 %":           {"lab fault inject loss cp-1 --percent 200", "at most 100"},
		"nothing to undo":           {"lab fault undo", "accepts between 1 and 2"},
		"one and all to undo":       {"lab fault undo --all freeze", "and freeze is named, too"},
		"a wide list of labs":       {"lab list -o wide", `unknown output format "wide"`},
		"a format of faults":        {"lab fault list -o yml", `unknown output format "yml"`},
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
		"lab fault undo freeze owner", "lab fault undo --all", "lab fault inject foreign-host",
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
		if !strings.Contains(out, f.Name) || !strings.Contains(strings.Join(strings.Fields(out), " "), f.What) {
			t.Errorf("fault list = %q; want %s in it", out, f.Name)
		}
	}
}

func TestFaultListAsDocument(t *testing.T) {
	var got struct {
		Kind   string            `json:"kind"`
		Faults []lab.Fault       `json:"faults"`
		Active []lab.ActiveFault `json:"active"`
	}
	for format, read := range map[string]func([]byte) error{
		"json": func(b []byte) error { return json.Unmarshal(b, &got) },
		"yaml": func(b []byte) error {
			return yaml.UnmarshalStrict(b, &struct{ APIVersion, Kind, Faults, Active any }{})
		},
	} {
		out, err := run("lab", "fault", "list", "--name", "there-is-none", "-o", format)
		if err == nil {
			err = read([]byte(out))
		}
		if err != nil {
			t.Errorf("fault list -o %s = %v\n%s", format, err, out)
		}
	}
	if got.Kind != "LabFaults" || !reflect.DeepEqual(got.Faults, lab.Faults()) || got.Active == nil {
		t.Errorf("fault list -o json = %+v; want all faults, and none active", got)
	}
}

func TestFaultsTable(t *testing.T) {
	var out bytes.Buffer
	err := writeFaults(&out, []lab.ActiveFault{
		{Fault: "delay", Node: "cp-1", Args: map[string]string{"delay": "20ms"}},
		{Fault: "delay", Node: "cp-2"}, {Fault: "lose-garp"}, {Fault: "foreign-host"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`FAULT +WHAT IT DOES$`,
		`freeze +silence the node's port`,
		`delay +let the node's frames be late\n +--delay, --direction, --jitter$`,
		`ACTIVE +ON\ndelay +cp-1 \(delay 20ms\)\ndelay +cp-2\nlose-garp +every node\nforeign-host +the network$`,
	} {
		if !regexp.MustCompile("(?m)^" + want).Match(out.Bytes()) {
			t.Errorf("writeFaults =\n%s\nwant a line %q", out.String(), want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("writeFaults prints %q, which no terminal of 80 columns has room for", line)
		}
	}
}

func TestFaultFlagsSayWhatTheyMean(t *testing.T) {
	out, err := run("lab", "fault", "inject", "--help")
	for _, f := range lab.Faults() {
		for flag, what := range f.Flags {
			means := regexp.MustCompile(`(?m)^ +--` + flag + ` .*\b` + f.Name + `(, [a-z-]+)*: ` + regexp.QuoteMeta(what))
			if err != nil || !means.MatchString(out) {
				t.Errorf("inject --help = %v\n%s\nwant --%s and what it means for %s", err, out, flag, f.Name)
			}
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
		Faults: []string{"foreign-host", "lose-garp (vip 10.5.0.50)"},
		VIPs:   []lab.VIPStatus{{Address: "10.5.0.50"}, {Address: "10.9.0.1", Note: "it is elsewhere"}},
		Nodes: []lab.NodeStatus{
			{Name: "cp-1", Role: "controlplane", Address: "10.5.0.2", BMC: "10.5.0.102", Power: lab.PowerOn, PID: 7, VIPs: []string{"10.5.0.50"},
				Links: []lab.LinkStatus{{Name: "eth0", Addresses: []string{"10.5.0.2/24", "fd10:5::2/64"}}, {Name: "eth0.100", Addresses: []string{"10.6.0.2/24"}}}},
			{Name: "worker-1", Role: "worker", Address: "10.5.0.3", BMC: "10.5.0.103", Power: lab.PowerOff, Faults: []string{"power-off"}},
		},
	})
	want := `Lab default: Talos v1.13.9, configuration style documents
Times: lease 5s, boot 3s, etcd checked at once (--talos-timing: after 5 s)
Networks: main 10.5.0.0/24 fd10:5::/64, vlan-100 10.6.0.0/24 fd10:6::/64
VIP 10.5.0.50: held by nobody
VIP 10.9.0.1: held by nobody
  it is elsewhere
Faults of the network: foreign-host, lose-garp (vip 10.5.0.50)

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

package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTalosctl drives a stock talosctl on the lab's workstation through what
// its users do, and looks at what it prints.
func TestTalosctl(t *testing.T) {
	if _, err := exec.LookPath("talosctl"); err != nil {
		t.Skip("there is no talosctl on PATH")
	}
	l := start(t)
	dir := t.TempDir()
	eventually(t, "every node knows all members", func() bool {
		out, code, err := runIn(t.Context(), t, l, nil, "talosctl", "get", "members")
		return err == nil && code == 0 && strings.Count(out, "Member") == 9
	})
	for _, c := range talosctlCalls(dir) {
		t.Run(cmp.Or(c.name, strings.Join(c.args, " ")), func(t *testing.T) {
			limit := "60"
			if c.endless {
				limit, c.code = "1", timedOut
			}
			args := append([]string{"timeout", limit, "talosctl"}, c.args...)
			if c.node != "" {
				args = append(args, "-n", c.node, "-e", c.node)
			}
			out, code, err := runIn(t.Context(), t, l, nil, args...)
			if err != nil || code != c.code {
				t.Fatalf("talosctl %v exited with %d, %v; want %d. It printed:\n%s", c.args, code, err, c.code, out)
			}
			for _, want := range c.prints {
				if !regexp.MustCompile("(?m)" + want).MatchString(out) {
					t.Errorf("talosctl %v printed\n%s\nwant %q in it", c.args, out, want)
				}
			}
			if c.check != nil {
				if err := c.check(out); err != nil {
					t.Errorf("talosctl %v: %v. It printed:\n%s", c.args, err, out)
				}
			}
		})
	}
}

// talosctlCall is a command line of talosctl and what it must print.
type talosctlCall struct {
	name   string // instead of the arguments
	args   []string
	node   string // that is asked; all of them if ""
	code   int
	prints []string // regular expressions
	check  func(out string) error
	// endless says that it goes on until it is told to end.
	endless bool
}

// timedOut is what timeout(1) exits with when it had to end the command.
const timedOut = 124

func call(line string) []string { return strings.Fields(line) }

func talosctlCalls(dir string) []talosctlCall {
	const cp1 = "10.5.0.2"
	snapshot, pcap := filepath.Join(dir, "snapshot.db"), filepath.Join(dir, "eth0.pcap")
	return []talosctlCall{
		{args: call("version"), prints: []string{`NODE: +10\.5\.0\.2$`, `NODE: +10\.5\.0\.4$`, `Tag: +v1\.13\.9$`, `RBAC`}},
		{args: call("get addresses"), node: cp1, prints: []string{`AddressStatus +eth0/10\.5\.0\.2/24 `}},
		{args: call("get links -o yaml"), node: cp1, prints: []string{`^    operationalState: up$`, `hardwareAddr: `}},
		{args: call("get members -o json"), node: cp1, check: eachJSON},
		{args: call("get services"), node: cp1, prints: []string{`Service +etcd +\d+ +true +true +false`}},
		{args: call("get etcdmembers"), prints: []string{`^10\.5\.0\.3 +etcd +EtcdMember +local +\d+ +[0-9a-f]{16}`}},
		{args: call("get machinestatus"), prints: []string{`^10\.5\.0\.4 .* running +true`}},
		{args: call("get hostname"), prints: []string{`^10\.5\.0\.4 .* cp-3`}},
		{args: call("get nodeaddress current -o yaml"), node: cp1, prints: []string{`- 10\.5\.0\.2/24`}},
		{args: call("get routes"), node: cp1, prints: []string{`10\.5\.0\.0/24 .*eth0`}},
		{args: call("services"), prints: []string{`^10\.5\.0\.3 +kubelet +Running +OK `}},
		{args: call("service kubelet"), node: cp1, prints: []string{`^STATE +Running$`, `\[Running\]: Started task kubelet`}},
		{args: call("service kubelet restart"), node: cp1, prints: []string{`Service "kubelet" restarted`}},
		{args: call("service etcd stop"), node: cp1, code: 1, prints: []string{`service "etcd" doesn't support stop operation via API`}},
		{args: call("service nope restart"), node: cp1, code: 1, prints: []string{`service "nope" not defined`}},
		{args: call("etcd members"), node: cp1, prints: []string{`cp-3 +https://10\.5\.0\.4:2380 +https://10\.5\.0\.4:2379 +false`}},
		{args: call("etcd status"), prints: []string{`^10\.5\.0\.2 +[0-9a-f]{16} .* false +3\.6`}, check: oneLeader},
		{args: call("etcd alarm list"), check: silent},
		{args: call("etcd forfeit-leadership"), node: cp1, check: silent},
		{name: "etcd snapshot", args: call("etcd snapshot " + snapshot), node: cp1, prints: []string{`snapshot info: hash [0-9a-f]{8}, revision \d+`}},
		{args: call("dmesg"), node: cp1, prints: []string{`^10\.5\.0\.2: user: warning: \[20\d\d-.*Z\]: \[talos\] service\[etcd\]\(Running\): Health check successful$`}},
		{args: call("logs machined --tail 5"), node: cp1, prints: []string{`\[talos\] service\[kubelet\]\(Running\)`}},
		{args: call("logs trustd"), node: cp1, check: silent},
		{args: call("logs nope"), node: cp1, code: 1, prints: []string{`log "nope" was not registered`}},
		{args: call("netstat -l -p"), node: cp1, prints: []string{`:50000 .*LISTEN +1/init`, `10\.5\.0\.2:2380 .*LISTEN +\d+/etcd`}},
		{args: call("memory"), prints: []string{`^10\.5\.0\.3 +\d{3,} `}},
		{args: call("processes"), node: cp1, prints: []string{`lab-process etcd`}},
		{args: call("kubeconfig -"), node: cp1, prints: []string{`server: https://10\.5\.0\.50:6443$`, `client-key-data: `}},
		{args: call("config info"), prints: []string{`^Roles: +os:admin$`, `^Endpoints: +10\.5\.0\.2, 10\.5\.0\.3, 10\.5\.0\.4$`}},
		{args: call("events --tail 4"), node: cp1, endless: true, prints: []string{`machine\.ServiceStateEvent`, `kubelet +RUNNING: Started task kubelet`}},
		{args: call("read /proc/sys/kernel/random/boot_id"), node: cp1, prints: []string{`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}$`}},
		{args: call("read /etc/passwd"), node: cp1, code: 1, prints: []string{`no such file or directory`}},
		{name: "pcap of ARP", node: cp1, args: append(call("pcap -i eth0 --duration 500ms -o "+pcap+" --bpf-filter"),
			"{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000806 },\n{ 0x6, 0, 0, 0x00040000 },\n{ 0x6, 0, 0, 0x00000000 },"), check: func(string) error { return pcapFile(pcap) }},
		{args: call("pcap -i eth9 --duration 500ms"), node: cp1, code: 1, prints: []string{`interface "eth9" not found`}},
		{args: call("time"), node: cp1, prints: []string{`^10\.5\.0\.2 +.* UTC`}},
		{args: call("health --wait-timeout 50s"), node: cp1, check: healthReport},
		{args: call("health --wait-timeout 50s --server=false"), node: cp1, check: healthReport},
		{args: call("get volumestatus EPHEMERAL"), prints: []string{`^10\.5\.0\.4 .* partition +ready +/dev/vda6`}},
		{args: call("reboot --wait --timeout 20s --debug"), node: "10.5.0.3", prints: []string{`actor ID: [0-9a-f-]{36}`, `post check passed`}},
		{args: call("shutdown --force --timeout 20s"), node: "10.5.0.4", prints: []string{`actor ID: [0-9a-f-]{36}`}},
	}
}

func healthReport(out string) error {
	for _, want := range healthOutcomes() {
		if !strings.Contains(out, want+"\n") {
			return fmt.Errorf("it lacks %q", want)
		}
	}
	return nil
}

func silent(out string) error {
	if strings.TrimSpace(out) != "" {
		return fmt.Errorf("it has something to say; want nothing")
	}
	return nil
}

// eachJSON reads one JSON value after the other.
func eachJSON(out string) error {
	n := 0
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); n++ {
		var r struct {
			Spec struct{ Hostname string }
		}
		if err := d.Decode(&r); err != nil {
			return err
		}
		if !strings.HasPrefix(r.Spec.Hostname, "cp-") {
			return fmt.Errorf("member %d is %q; want a node of the lab", n, r.Spec.Hostname)
		}
	}
	if n != 3 {
		return fmt.Errorf("%d members; want 3", n)
	}
	return nil
}

// oneLeader looks at the fields MEMBER and LEADER: all name one leader, which
// is one of the members.
func oneLeader(out string) error {
	leaders, members := map[string]bool{}, map[string]bool{}
	for _, words := range regexp.MustCompile(`(?m)^10\S+ +([0-9a-f]{16}) .*?([0-9a-f]{16}) `).FindAllStringSubmatch(out, -1) {
		members[words[1]], leaders[words[2]] = true, true
	}
	for id := range leaders {
		if len(leaders) != 1 || len(members) != 3 || !members[id] {
			return fmt.Errorf("members %v follow %v; want three and one of them", members, leaders)
		}
		return nil
	}
	return fmt.Errorf("no leader")
}

func pcapFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil || len(data) < 24 || string(data[:4]) != "\xd4\xc3\xb2\xa1" {
		return fmt.Errorf("%s holds %d bytes, %w; want a pcap file", path, len(data), err)
	}
	return nil
}

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestHolders(t *testing.T) {
	vip := netip.MustParseAddr("10.5.0.50")
	event := func(words string) truth.Event {
		f := strings.Fields(words + " 10.5.0.50/32")
		return truth.Event{Node: f[0], Kind: truth.Kind(f[1]), Detail: f[2]}
	}
	for name, row := range map[string]struct {
		events []string
		want   []string
	}{
		"nothing happened":              {nil, []string{}},
		"one took it":                   {[]string{"cp-1 address-added"}, []string{"cp-1"}},
		"its own address is none":       {[]string{"cp-1 address-added 10.5.0.2/24"}, []string{}},
		"handed over":                   {[]string{"cp-1 address-added", "cp-1 address-removed", "cp-2 address-added"}, []string{"cp-2"}},
		"two have it":                   {[]string{"cp-1 address-added", "cp-2 address-added"}, []string{"cp-1", "cp-2"}},
		"a dead node has nothing":       {[]string{"cp-1 address-added", "cp-1 power-off -"}, []string{}},
		"another's removal is no loss":  {[]string{"cp-1 address-added", "cp-2 address-removed"}, []string{"cp-1"}},
		"another VIP is another matter": {[]string{"cp-1 address-added 10.5.0.51/32"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			var events []truth.Event
			for _, e := range row.events {
				events = append(events, event(e))
			}
			if got := holders(events, vip); !slices.Equal(got, row.want) {
				t.Errorf("holders(%v) = %v; want %v", row.events, got, row.want)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	r := newReadiness(Spec{ControlPlanes: 1}.Default())
	steps := []struct {
		event truth.Event
		line  string
		done  bool
	}{
		{truth.Event{At: 1e9, Node: "cp-1", Kind: truth.PowerOn}, "", false},
		{truth.Event{At: 2e9, Node: "cp-1", Kind: truth.Booted}, "cp-1 booted (2.0 s)", false},
		{truth.Event{At: 2e9, Node: "cp-1", Kind: truth.Booted}, "", false}, // again is no news
		{truth.Event{At: 2e9, Node: "cp-1", Kind: truth.AddressAdded, Detail: "10.5.0.2/24"}, "", false},
		{truth.Event{At: 3e9, Node: "cp-1", Kind: truth.AddressAdded, Detail: "10.5.0.50/32"}, "10.5.0.50 is held by cp-1 (3.0 s)", true},
	}
	for _, s := range steps {
		line, err := r.see(s.event, 0)
		if line != s.line || err != nil || r.done() != s.done {
			t.Errorf("see(%v) = %q, %v, done %v; want %q, done %v", s.event, line, err, r.done(), s.line, s.done)
		}
	}
	r = newReadiness(Spec{}.Default())
	if _, err := r.see(truth.Event{Node: "cp-2", Kind: truth.PowerOff, Detail: crashed + "exit status 2"}, 0); err == nil {
		t.Error("see(a crash of cp-2 while it boots) = nil; want an error")
	}
	want := "cp-1 has not booted, cp-2 has not booted, cp-3 has not booted, 10.5.0.50 has no owner"
	if got := r.lacking(); got != want {
		t.Errorf("lacking() = %q; want %q", got, want)
	}
}

func TestExplain(t *testing.T) {
	refused := fmt.Errorf("making the lab's namespaces: %w", unix.EPERM)
	for name, row := range map[string]struct {
		sysctl map[string]string
		err    error
		want   string // in the hint
	}{
		"a container":            {nil, refused, "--privileged"},
		"too many namespaces":    {nil, fmt.Errorf("x: %w", unix.ENOSPC), "limit of namespaces"},
		"a kernel without":       {nil, fmt.Errorf("x: %w", unix.EINVAL), "CONFIG_USER_NS"},
		"something else":         {nil, errors.New("x"), ""},
		"switched off":           {map[string]string{"user/max_user_namespaces": "0"}, refused, "user.max_user_namespaces=15000"},
		"switched off in Debian": {map[string]string{"kernel/unprivileged_userns_clone": "0"}, refused, "kernel.unprivileged_userns_clone=1"},
		"Ubuntu's AppArmor":      {map[string]string{"kernel/apparmor_restrict_unprivileged_userns": "1"}, refused, "apparmor_restrict_unprivileged_userns=0"},
	} {
		t.Run(name, func(t *testing.T) {
			if row.sysctl != nil && !needUser() {
				t.Skip("root needs no user namespace; run as another user to test this")
			}
			err := explain(row.err, func(name string) string { return row.sysctl[name] })
			hint := ""
			if h, ok := err.(interface{ Hint() string }); ok {
				hint = h.Hint()
			}
			if !errors.Is(err, row.err) || !strings.Contains(hint, row.want) || (row.want == "") != (hint == "") {
				t.Errorf("explain(%v) has hint %q; want %q in it", row.err, hint, row.want)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	for stat, want := range map[string]proc{
		"12 (etcd) S 1 12 12 0 -1":          {pid: 12, parent: 1, session: 12, state: 'S'},
		"7 (a) b (c) Z) T 3 7 5 0 -1":       {pid: 7, parent: 3, session: 5, state: 'T'},
		"7 (half":                           {},
		"":                                  {},
		"x (name) S 1 2 3":                  {},
		"9 (name) S 1":                      {},
		"1 (vipctl) S 0 1 1 0 -1 4194560 1": {pid: 1, session: 1, state: 'S'},
	} {
		got, ok := parseStat([]byte(stat))
		if ok != (want.pid != 0) || ok && got != want {
			t.Errorf("parseStat(%q) = %+v, %v; want %+v", stat, got, ok, want)
		}
	}
}

func TestWorkstationEnvironment(t *testing.T) {
	w := &workstation{bin: "/lab/bin", env: map[string]string{"KUBECONFIG": "/lab/kubeconfig"}}
	got := w.environment([]string{"PATH=/bin", "KUBECONFIG=/home/me", "HTTPS_PROXY=http://x", "no_proxy=y", "LANG=C"})
	slices.Sort(got)
	want := []string{"KUBECONFIG=/lab/kubeconfig", "LANG=C", "PATH=/lab/bin:/bin"}
	if !slices.Equal(got, want) {
		t.Errorf("environment = %q; want %q", got, want)
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct{ name, cwd, path, want string }{
		{"tool", "/", "/nowhere:" + dir, filepath.Join(dir, "tool")},
		{"./tool", dir, "/nowhere", filepath.Join(dir, "tool")},
		{"/bin/tool", "/", "", "/bin/tool"},
		{"text", "/", dir, ""},
		{"missing", "/", dir, ""},
	} {
		got, err := lookPath(row.name, row.cwd, row.path)
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("lookPath(%q, %q, %q) = %q, %v; want %q", row.name, row.cwd, row.path, got, err, row.want)
		}
	}
}

func TestUndoOfAForeignHostThatIsGone(t *testing.T) {
	f := &faults{} // an undo before this one took it away, and then failed
	if err := f.invite(t.Context(), ActiveFault{Fault: faultForeignHost}, false); err != nil {
		t.Errorf("invite(off) = %v; want nil", err)
	}
}

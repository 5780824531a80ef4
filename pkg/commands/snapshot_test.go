package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/report"
)

// kept is a snapshot of three nodes, of which those named hold the VIP.
func kept(holders ...string) *cluster.Snapshot {
	vip := netip.MustParseAddr("10.5.0.50")
	snap := &cluster.Snapshot{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind, TakenAt: time.Date(2026, 11, 21, 3, 0, 0, 7, time.UTC),
		Endpoints: []cluster.Endpoint{}, VIPs: []cluster.VIP{{Addr: vip}},
	}
	for i, name := range []string{"cp-1", "cp-2", "cp-3"} {
		n := cluster.Node{
			Name: name, Addr: netip.AddrFrom4([4]byte{10, 5, 0, byte(2 + i)}), Reachable: cluster.Got(true), Hostname: cluster.Got(name),
			VIPs: cluster.Got([]netip.Addr{vip}), Addresses: cluster.Got([]cluster.Address{}),
		}
		for _, holder := range holders {
			if holder == name {
				n.Addresses = cluster.Got([]cluster.Address{{Prefix: netip.PrefixFrom(vip, 32), Link: "eth0"}})
			}
		}
		snap.Nodes = append(snap.Nodes, n)
	}
	return snap
}

// file saves the snapshot as the commands do.
func file(t *testing.T, snap *cluster.Snapshot) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.json")
	if err := saveSnapshot(path, snap); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestASnapshotIsJudgedWithNobodyAsked(t *testing.T) {
	split := kept("cp-1", "cp-3")
	split.Earlier = kept("cp-1", "cp-3")
	handover := kept("cp-3")
	handover.Earlier = kept("cp-1", "cp-3")
	two := kept("cp-2")
	two.VIPs = append(two.VIPs, cluster.VIP{Addr: netip.MustParseAddr("10.5.0.51")})
	for _, tt := range []struct {
		name, args string
		snap       *cluster.Snapshot
		code       cli.ExitCode
		says       string
	}{
		{"an owner", "owner", kept("cp-2"), cli.ExitOK, `"verdict": "owned"`},
		{"no owner", "owner", kept(), cli.ExitBad, `"verdict": "unowned"`},
		{"two, seen twice", "owner", split, cli.ExitSplitBrain, `"verdict": "splitBrain"`},
		{"two, and then one", "owner", handover, cli.ExitOK, `a handover`},
		{"a VIP is chosen, and the other, which nobody has, does not count", "owner --vip 10.5.0.50", two, cli.ExitOK, `"verdict": "owned"`},
		{"both VIPs count where none is chosen", "owner", two, cli.ExitBad, `"verdict": "unowned"`},
		{"the VIP that nobody has is chosen", "owner --vip 10.5.0.51", two, cli.ExitBad, `"verdict": "unowned"`},
		{"rows are selected", "owner -n cp-9", kept("cp-2"), cli.ExitOK, `no control-plane node is called that`},
		{"etcd, of which nothing is known", "etcd", kept("cp-2"), cli.ExitInconclusive, `"verdict": "unknown"`},
		{"the doctor on two owners", "doctor --only vip-one-owner", split, cli.ExitSplitBrain, `split brain`},
		{"the doctor, who was not to look", "doctor --only hostnames-differ", split, cli.ExitOK, `"verdict": "pass"`},
		{"the doctor on no owner", "doctor --only vip-one-owner", kept(), cli.ExitBad, `"verdict": "fail"`},
		{"the doctor on a handover", "doctor --only vip-one-owner", handover, cli.ExitOK, `"verdict": "pass"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			args := append(strings.Fields(tt.args), "-o", "json", "--from")
			path := file(t, tt.snap)
			if code := h.run(append(args, path)...); code != tt.code || !strings.Contains(h.out.String(), tt.says) {
				t.Errorf("vipctl %s = exit code %d; want %d, and %s\n%s%s", tt.args, code, tt.code, tt.says, h.out, h.err)
			}
			again := newHarness(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			again.f.Streams.In = bytes.NewReader(data)
			if code := again.run(append(args, "-")...); code != tt.code || again.out.String() != h.out.String() {
				t.Errorf("by stdin: exit code %d; want %d, and the same document\n%s", code, tt.code, again.out)
			}
		})
	}
}

// endless is a file without an end, such as /dev/zero.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestASnapshotHasAnEnd(t *testing.T) {
	h := newHarness(t)
	h.f.Streams.In = endless{}
	if code := h.run("owner", "--from", "-"); code != cli.ExitUsage || !strings.Contains(h.err.String(), "error: --from: stdin is larger than any snapshot\nhint: ") {
		t.Errorf("owner --from - = exit code %d, stderr %q; want %d, an error and a hint", code, h.err, cli.ExitUsage)
	}
}

func TestFlagsThatDoNotGoWithASnapshot(t *testing.T) {
	path := file(t, kept("cp-1"))
	newer := filepath.Join(t.TempDir(), "newer.json")
	if err := os.WriteFile(newer, []byte(`{"apiVersion":"vipctl.dev/v7","kind":"Snapshot","nodes":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, err, hint string }{
		{"owner --save x --from " + path, "--save and --from exclude each other", "copy the file"},
		{"owner --context lab --from " + path, "--context and --from exclude each other", "leave out --context"},
		{"etcd -e 10.5.0.2 --from " + path, "--endpoints and --from", "leave out --endpoints"},
		{"owner --vip 10.5.0.99 --from " + path, "the snapshot has no VIP 10.5.0.99", "it has: 10.5.0.50"},
		{"doctor --vip 10.5.0.50 --from " + path, "--vip and --from", "leave out --vip"},
		{"owner --timeout 1s --from " + path, "--timeout and --from", "leave out --timeout"},
		{"owner --save -", "--save: stdout has the document", "--save snapshot.json"},
		{"owner --save=", "--save names no file", "--save snapshot.json"},
		{"doctor --from=", "--from names no file", "--from snapshot.json"},
		{"owner --from /nonexistent/snapshot", "--from: open /nonexistent/snapshot", "--save FILE"},
		{"etcd --from -", "--from: stdin: not a snapshot", "--save FILE"},
		{"doctor --from " + newer, `a snapshot of version "vipctl.dev/v7"`, "newer one"},
	} {
		h := newHarness(t)
		if code := h.run(strings.Fields(tt.args)...); code != cli.ExitUsage {
			t.Errorf("vipctl %s = exit code %d; want %d", tt.args, code, cli.ExitUsage)
		}
		if got := h.err.String(); !strings.Contains(got, tt.err) || !strings.Contains(got, "\nhint: ") || !strings.Contains(got, tt.hint) {
			t.Errorf("vipctl %s said %q; want error: %s, hint: %s", tt.args, got, tt.err, tt.hint)
		}
	}
}

// Who cannot keep a snapshot still wants to see the verdict.
func TestADocumentIsPrintedThatCannotBeSaved(t *testing.T) {
	for _, format := range []string{"table", "json"} {
		h := newHarness(t)
		flags := snapshotFlags{Save: filepath.Join(t.TempDir(), "none", "snapshot.json")}
		cmd := newVersionCommand(h.f)
		h.f.flags.bindOutput(cmd.Flags())
		cmd.RunE = func(cmd *cobra.Command, _ []string) error {
			return answer(cmd.Context(), h.f, report.NewOwnershipList, func(ctx context.Context, f *Factory) (*report.Ownership, cli.ExitCode, error) {
				seen, err := flags.source(ctx, f, func(context.Context) (*survey, error) { return &survey{snap: kept("cp-1")}, nil })
				return report.NewOwnership(seen.snap, judgeAll(seen.snap)...), cli.ExitOK, err
			})
		}
		h.f.flags.Timeout = time.Second
		code := h.f.execute(t.Context(), cmd, []string{"-o", format})
		if code != cli.ExitFailed || !strings.Contains(h.err.String(), "error: --save: ") || !strings.Contains(h.err.String(), "hint: ") {
			t.Errorf("-o %s: exit code %d, stderr %q; want %d, an error and a hint", format, code, h.err, cli.ExitFailed)
		}
		if format == "json" && !json.Valid(h.out.Bytes()) || !strings.Contains(h.out.String(), "cp-1") {
			t.Errorf("-o %s: stdout has %q; want one document", format, h.out)
		}
	}
}

// A look that failed has no document, whatever was seen until then: stdout would
// have two values, or there would be nothing to make one of.
func TestALookThatFailedHasNoDocument(t *testing.T) {
	for _, seen := range []*survey{nil, {}, {snap: kept("cp-1")}} {
		h := newHarness(t)
		var flags snapshotFlags
		got, err := flags.source(t.Context(), h.f, func(context.Context) (*survey, error) { return seen, context.Canceled })
		if got != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("source(collect = %v, cancelled) = %v, %v; want no survey, and the error", seen, got, err)
		}
	}
}

func TestASnapshotReplacesNoDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "null")
	if err := os.Symlink(os.DevNull, path); err != nil {
		t.Skip(err)
	}
	if err := saveSnapshot(path, kept("cp-1")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s = %v, %v after saving there; want it the device still", os.DevNull, info, err)
	}
}

// A node that does not say which VIPs it has may have one: that there is none
// is then not known.
func TestNoVIPIsKnown(t *testing.T) {
	none := kept()
	none.VIPs = []cluster.VIP{}
	for i := range none.Nodes {
		none.Nodes[i].VIPs = cluster.Got([]netip.Addr{})
	}
	mute := kept()
	mute.VIPs = []cluster.VIP{}
	for i := range mute.Nodes {
		mute.Nodes[i].VIPs = cluster.Missed[[]netip.Addr](errors.New("this version of Talos does not know it"))
	}
	for _, tt := range []struct {
		name string
		snap *cluster.Snapshot
		code cli.ExitCode
		says []string
	}{
		{"every node says that it has none", none, cli.ExitBad, []string{"no VIP\n"}},
		{"no node says", mute, cli.ExitInconclusive, []string{"no VIP is known", "--vip ADDRESS", "configured VIPs: this version of Talos does not know it"}},
	} {
		h := newHarness(t)
		if code := h.run("owner", "--from", file(t, tt.snap)); code != tt.code {
			t.Errorf("%s: owner = exit code %d; want %d", tt.name, code, tt.code)
		}
		for _, part := range tt.says {
			if !strings.Contains(h.out.String(), part) {
				t.Errorf("%s: owner says %q; want %q in it", tt.name, h.out, part)
			}
		}
	}
}

// Every flag of a command either says what is shown, or whom to ask and how: then
// it makes no sense with a snapshot, and to pass over it in silence would mislead.
func TestEveryFlagThatAsksIsRefusedWithASnapshot(t *testing.T) {
	shows := map[string][]string{
		"owner":  {"from", "help", "output", "nodes", "vip", "save", "no-color", "config"},
		"etcd":   {"from", "help", "output", "nodes", "save", "without", "no-color", "config"},
		"doctor": {"from", "help", "output", "nodes", "save", "only", "skip", "category", "fail-on", "no-color", "config"},
	}
	for _, cmd := range newRootCommand(newHarness(t).f).Commands() {
		if shows[cmd.Name()] == nil {
			continue
		}
		cmd.InheritedFlags() // merges those of the root
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if slices.Contains(shows[cmd.Name()], flag.Name) {
				return
			}
			flag.Changed = true
			defer func() { flag.Changed = false }()
			if err := (&snapshotFlags{From: "x"}).check(cmd); err == nil || !strings.Contains(err.Error(), "--"+flag.Name) {
				t.Errorf("vipctl %s --%s --from x: %v; want that they exclude each other, or that it only shows", cmd.Name(), flag.Name, err)
			}
		})
	}
}

func TestASnapshotIsForItsOwnerToRead(t *testing.T) {
	info, err := os.Stat(file(t, kept("cp-1")))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the snapshot has the mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestWhatCannotBeSavedIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "snapshot.json")
	if err := saveSnapshot(path, kept("cp-1")); err == nil || !strings.Contains(err.Error(), " "+path+": ") {
		t.Errorf("saveSnapshot(%s) = %v; want an error that names that file, not the one beside it", path, err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	if err := saveSnapshot("/dev/full", kept("cp-1")); err == nil {
		t.Error("saveSnapshot(/dev/full) = nil; want that it is full")
	}
}

// Nobody may ever write to a pipe. The command ends all the same.
func TestWaitingForASnapshotCanBeInterrupted(t *testing.T) {
	h := newHarness(t)
	never, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	h.f.Streams.In = never
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if snap, err := h.f.readSnapshot(ctx, "-"); snap != nil || !errors.Is(err, context.DeadlineExceeded) || cli.HintOf(err) != "" {
		t.Errorf("readSnapshot(interrupted) = %v, %v; want that it was, and nothing else", snap, err)
	}
}

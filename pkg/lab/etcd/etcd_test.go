//go:build linux

package etcd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/labtest"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// patience is for slow machines; nothing here takes it.
const patience = 60 * time.Second

// The test binary stands in for vipctl: it runs etcd when it is told to.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == process.Command && os.Args[2] == process.Etcd {
		os.Exit(etcd.Main(os.Args[3]))
	}
	os.Exit(m.Run())
}

// member is a member of the test's cluster and, if it runs, its process.
type member struct {
	etcd.Config
	config   string
	endpoint string
	cmd      *exec.Cmd
	exited   chan error
	events   chan truth.Event
}

func newMembers(t *testing.T, n int) []*member {
	t.Helper()
	cluster, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var peers []etcd.Peer
	var members []*member
	for i := range n {
		name := fmt.Sprintf("cp-%d", i+1)
		files, err := cluster.EtcdFiles(filepath.Join(dir, name, "pki"), name, []netip.Addr{loopback})
		if err != nil {
			t.Fatal(err)
		}
		cfg := etcd.Config{
			Name: name, Dir: filepath.Join(dir, name, "data"), Addr: loopback, Files: files,
			ClientPort: labtest.FreePort(t), PeerPort: labtest.FreePort(t),
		}
		peers = append(peers, etcd.Peer{Name: name, Addr: loopback, Port: cfg.PeerPort})
		members = append(members, &member{
			Config: cfg, config: filepath.Join(dir, name, "etcd.json"),
			endpoint: fmt.Sprintf("https://127.0.0.1:%d", cfg.ClientPort),
		})
	}
	for _, m := range members {
		m.Peers = peers
	}
	return members
}

func (m *member) start(t *testing.T) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd, err = etcd.Command(m.Config, m.config)
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.ExtraFiles = []*os.File{w}
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	events := make(chan truth.Event, 16)
	go func() {
		defer func() { _ = r.Close() }()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var e truth.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				events <- e
			}
		}
	}()
	exited := make(chan error, 1)
	cmd := m.cmd
	go func() { exited <- cmd.Wait() }()
	m.events, m.exited = events, exited
	t.Cleanup(func() { _ = cmd.Process.Kill() })
}

// awaitReady waits until the member answers reads; that it leads may come before.
func (m *member) awaitReady(t *testing.T) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-m.events:
			switch {
			case e.Node != m.Name || e.At == 0:
				t.Fatalf("event of %s = %+v; want its name and a time", m.Name, e)
			case e.Kind == truth.EtcdReady:
				return
			case e.Kind != truth.LeaderElected:
				t.Fatalf("event of %s before etcd-ready = %+v; want none but leader-elected", m.Name, e)
			}
		case err := <-m.exited:
			t.Fatalf("%s exited before it was ready: %v", m.Name, err)
		case <-late:
			t.Fatalf("%s not ready after %v", m.Name, patience)
		}
	}
}

func (m *member) client(t *testing.T) *clientv3.Client {
	t.Helper()
	client, err := etcd.Client(m.Files, m.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestThreeMembersSurviveTheDeathOfOneWhichComesBackFromItsDisk(t *testing.T) {
	members := newMembers(t, 3)
	for _, m := range members {
		m.start(t)
	}
	for _, m := range members {
		m.awaitReady(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, last := members[0], members[2]
	if _, err := first.client(t).Put(ctx, "key", "value"); err != nil {
		t.Fatal(err)
	}
	wantKey(ctx, t, last, "value")
	before, err := last.client(t).Status(ctx, last.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	list, err := first.client(t).MemberList(ctx)
	if err != nil || len(list.Members) != 3 {
		t.Fatalf("MemberList = %v, %v; want 3 members", list, err)
	}

	if err := last.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-last.exited
	// The dead one may have been the leader, with a proposal on its way.
	survivor := first.client(t)
	_, err = survivor.Put(ctx, "key", "other")
	for err != nil && ctx.Err() == nil {
		_, err = survivor.Put(ctx, "key", "other")
	}
	if err != nil {
		t.Fatalf("Put with one of three members dead = %v; want nil", err)
	}
	last.start(t)
	last.awaitReady(t)
	wantKey(ctx, t, last, "other")
	after, err := last.client(t).Status(ctx, last.endpoint)
	if err != nil || after.Header.MemberId != before.Header.MemberId {
		t.Errorf("member ID after the restart = %v, %v; want %x", after, err, before.Header.MemberId)
	}

	if err := last.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-last.exited; err != nil {
		t.Errorf("exit after SIGTERM = %v; want code 0", err)
	}
}

func wantKey(ctx context.Context, t *testing.T, m *member, want string) {
	t.Helper()
	got, err := m.client(t).Get(ctx, "key")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != want {
		t.Fatalf("Get(key) from %s = %v, %v; want %q", m.Name, got, err, want)
	}
}

func TestMemberTurnsStrangersAwayAndTakesLittleDisk(t *testing.T) {
	m := newMembers(t, 1)[0]
	m.start(t)
	m.awaitReady(t)

	other, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := other.EtcdFiles(t.TempDir(), "cp-1", []netip.Addr{loopback})
	if err != nil {
		t.Fatal(err)
	}
	strangers.CA = m.Files.CA // trusts the server, but is not trusted
	stranger, err := etcd.Client(strangers, m.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := stranger.Get(ctx, "key"); err == nil {
		t.Error("Get by a client of another authority = nil; want an error")
	}

	logs, err := filepath.Glob(filepath.Join(m.Dir, "member", "wal", "*"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no write-ahead log in %s: %v", m.Dir, err)
	}
	for _, path := range logs {
		info, err := os.Stat(path)
		if err == nil && info.Size() > 8<<20 {
			t.Errorf("%s takes %d bytes; want at most 8 MiB", path, info.Size())
		}
	}
}

func TestMainSaysWhatIsWrongWithItsConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.json")
	cmd := exec.Command("/proc/self/exe", process.Command, process.Etcd, path)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), path) {
		t.Errorf("etcd with a missing configuration = %v, %q; want an error that names %s", err, out, path)
	}
}

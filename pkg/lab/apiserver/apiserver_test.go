//go:build linux

package apiserver_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/labtest"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// patience is for slow machines; nothing here takes it.
const patience = 60 * time.Second

// The test binary stands in for vipctl: it runs an API server when told to.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == process.Command && os.Args[2] == process.APIServer {
		os.Exit(apiserver.Main(os.Args[3]))
	}
	os.Exit(m.Run())
}

// cluster is a node's API server and its etcd, which can be stopped and
// started.
type cluster struct {
	apiserver.Config
	secrets *pki.Cluster
	member  etcd.Config
	stop    func()
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	secrets, err := pki.New("v1.13.9", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ips := []netip.Addr{loopback}
	etcdFiles, err := secrets.EtcdFiles(filepath.Join(dir, "etcd"), "cp-1", ips)
	if err != nil {
		t.Fatal(err)
	}
	files, err := secrets.APIServerFiles(filepath.Join(dir, "kubernetes"), "cp-1", ips)
	if err != nil {
		t.Fatal(err)
	}
	member := etcd.Config{
		Name: "cp-1", Dir: filepath.Join(dir, "data"), Addr: loopback, Files: etcdFiles,
		ClientPort: labtest.FreePort(t), PeerPort: labtest.FreePort(t),
	}
	member.Peers = []etcd.Peer{{Name: "cp-1", Addr: loopback, Port: member.PeerPort}}
	c := &cluster{secrets: secrets, member: member, Config: apiserver.Config{
		Node: "cp-1", Addr: loopback, VIPs: []netip.Addr{loopback}, Files: files, Etcd: etcdFiles,
		KubernetesVersion: "v1.36.3", Listen: netip.AddrPortFrom(loopback, labtest.FreePort(t)).String(),
		EtcdEndpoint: fmt.Sprintf("https://localhost:%d", member.ClientPort),
	}}
	c.startEtcd(t)
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *cluster) startEtcd(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- etcd.Serve(ctx, c.member, nil, func() { close(ready) }) }()
	c.stop = sync.OnceFunc(func() { cancel(); <-stopped })
	select {
	case <-ready:
	case err := <-stopped:
		stopped <- err
		t.Fatalf("etcd stopped: %v", err)
	case <-time.After(patience):
		t.Fatal("etcd is not ready")
	}
}

// events takes what the server records.
type events chan truth.Event

func (e events) Record(event truth.Event) { e <- event }

func (e events) await(t *testing.T, kind truth.Kind) truth.Event {
	t.Helper()
	select {
	case event := <-e:
		if event.Kind != kind {
			t.Fatalf("event = %+v; want %s", event, kind)
		}
		return event
	case <-time.After(patience):
		t.Fatalf("no event %s", kind)
	}
	return truth.Event{}
}

// client speaks HTTP/2, or HTTP/1.1 only, with or without a certificate.
func (c *cluster) client(t *testing.T, known, http2 bool) *http.Client {
	t.Helper()
	config, err := c.Files.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	if !known {
		config.Certificates = nil
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func (c *cluster) get(t *testing.T, client *http.Client, path string) (*http.Response, string) {
	t.Helper()
	response, err := client.Get("https://" + c.Listen + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func serve(t *testing.T, c *cluster) events {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, done := make(events, 16), make(chan error, 1)
	go func() { done <- apiserver.Serve(ctx, c.Config, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
	})
	log.await(t, truth.Listening)
	return log
}

func TestServerAnswersAsKubeAPIServer(t *testing.T) {
	c := newCluster(t)
	serve(t, c)
	for _, http2 := range []bool{true, false} {
		anonymous, known := c.client(t, false, http2), c.client(t, true, http2)
		for _, path := range []string{"/readyz", "/livez", "/version", "/api/v1/nodes"} {
			response, body := c.get(t, anonymous, path)
			var status struct {
				Kind, Reason string
				Code         int
			}
			if err := json.Unmarshal([]byte(body), &status); err != nil || response.StatusCode != 401 ||
				status.Kind != "Status" || status.Reason != "Unauthorized" || status.Code != 401 {
				t.Errorf("anonymous GET %s = %d %q; want 401 and a Status", path, response.StatusCode, body)
			}
		}
		for _, test := range []struct {
			path, want string
			code       int
		}{
			{"/readyz", "ok", 200},
			{"/livez", "ok", 200},
			{"/readyz?verbose", "[+]shutdown ok\nreadyz check passed\n", 200},
			{"/livez?verbose", "[+]etcd ok\nlivez check passed\n", 200},
			{"/readyz/etcd", "ok", 200},
			{"/readyz/none", `"reason":"NotFound"`, 404},
			{"/version", `"gitVersion":"v1.36.3"`, 200},
			{"/version", `"minor":"36"`, 200},
			{"/api/v1/nodes", `"kind":"NodeList"`, 200},
			{"/api/v1/nodes/cp-9", `"reason":"NotFound"`, 404},
			{"/api/v1/secrets", `"reason":"NotFound"`, 404},
		} {
			response, body := c.get(t, known, test.path)
			if response.StatusCode != test.code || !strings.Contains(body, test.want) {
				t.Errorf("GET %s = %d %q; want %d and %q", test.path, response.StatusCode, body, test.code, test.want)
			}
			if (response.ProtoMajor == 2) != http2 {
				t.Errorf("GET %s was answered in %s; want HTTP/2 = %v", test.path, response.Proto, http2)
			}
		}
	}
}

func TestHealthIsThatOfTheNodesEtcd(t *testing.T) {
	c := newCluster(t)
	serve(t, c)
	client := c.client(t, true, true)
	if response, body := c.get(t, client, "/readyz"); response.StatusCode != 200 {
		t.Fatalf("GET /readyz with etcd = %d %q; want 200", response.StatusCode, body)
	}
	c.stop()
	var all sync.WaitGroup
	start := time.Now()
	for range 50 {
		all.Go(func() {
			response, body := c.get(t, client, "/readyz")
			if response.StatusCode != 500 || !strings.Contains(body, "[-]etcd failed") || !strings.HasSuffix(body, "readyz check failed\n") {
				t.Errorf("GET /readyz without etcd = %d %q; want 500", response.StatusCode, body)
			}
		})
	}
	all.Wait()
	// One check for all takes 2 s; fifty in a row would take 100 s.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("50 requests without etcd took %v; want one timeout", took)
	}
	if response, _ := c.get(t, client, "/livez"); response.StatusCode != 500 {
		t.Errorf("GET /livez without etcd = %d; want 500", response.StatusCode)
	}
	if response, _ := c.get(t, client, "/version"); response.StatusCode != 200 {
		t.Errorf("GET /version without etcd = %d; want 200", response.StatusCode)
	}
	c.startEtcd(t)
	for deadline := time.Now().Add(patience); ; {
		response, body := c.get(t, client, "/readyz")
		if response.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("GET /readyz after etcd is back = %d %q; want 200", response.StatusCode, body)
		}
	}
}

func TestFirstConnectionToTheVIPIsRecordedOnce(t *testing.T) {
	c := newCluster(t)
	log := serve(t, c)
	before := truth.Now()
	for range 3 {
		config, err := c.Files.ClientTLS()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", c.Listen, config)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	event := log.await(t, truth.Accepted)
	if event.Detail != "127.0.0.1" || event.At < before || event.At > truth.Now() {
		t.Errorf("event = %+v; want 127.0.0.1 accepted between %v and now", event, before)
	}
	if len(log) != 0 {
		t.Errorf("event = %+v; want no other", <-log)
	}
}

func TestChildStopsAtOnceOnSIGTERM(t *testing.T) {
	c := newCluster(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	cmd, err := apiserver.Command(c.Config, filepath.Join(t.TempDir(), "apiserver.json"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles, cmd.Stderr = []*os.File{w}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var event truth.Event
	if err := json.NewDecoder(r).Decode(&event); err != nil || event.Kind != truth.Listening || event.Node != "cp-1" {
		t.Fatalf("first event = %+v, %v; want listening", event, err)
	}
	if response, body := c.get(t, c.client(t, true, true), "/readyz"); response.StatusCode != 200 {
		t.Fatalf("GET /readyz = %d %q; want 200", response.StatusCode, body)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("exit after SIGTERM = %v; want code 0", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still running 10 s after SIGTERM")
	}
}

package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/siderolabs/talos/pkg/machinery/client/config"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

// dial connects from the lab's workstation, so that a test can use stock
// clients in its own process. Each connection is a process on the workstation
// that passes bytes on.
func (r reach) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	conn, err := net.FileConn(near)
	_ = near.Close()
	if err != nil {
		_ = far.Close()
		return nil, err
	}
	go func() {
		defer func() { _ = far.Close() }()
		_, err := r.lab.Exec(context.Background(), Command{
			Args: []string{"vipctl", "test-relay", addr}, Dir: "/", Stdin: far, Stdout: far, Stderr: far,
		})
		if err != nil { // the lab is gone
			_ = conn.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	said, err := firstLine(conn)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err == nil && said != "connected" {
		err = fmt.Errorf("dial %s from the workstation: %s", addr, said)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// firstLine reads a line and not a byte more.
func firstLine(r io.Reader) (string, error) {
	var line strings.Builder
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil || b[0] == '\n' {
			return line.String(), err
		}
		line.WriteByte(b[0])
	}
}

// runRelay is one connection of reach.dial, on the workstation.
func runRelay(addr string) int {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("connected")
	go func() {
		_, _ = io.Copy(conn, bufio.NewReader(os.Stdin))
		_ = conn.Close() // the test hung up
	}()
	_, _ = io.Copy(os.Stdout, conn)
	return 0
}

// reach is how a test asks the nodes of a lab from outside.
type reach struct {
	t   *testing.T
	lab *Lab
}

// file reads a file of the workstation; its name may hold variables of the
// shell, such as $TALOSCONFIG.
func (r reach) file(name string) []byte {
	r.t.Helper()
	out, code, err := runIn(r.t.Context(), r.t, r.lab, nil, "sh", "-c", "cat "+name)
	if err != nil || code != 0 {
		r.t.Fatalf("reading %s = %q, %d, %v", name, out, code, err)
	}
	return []byte(out)
}

// talos returns the stock client of a node's own Talos API. The role is
// "admin", "operator" or "reader".
func (r reach) talos(addr, role string) *talosclient.Client {
	r.t.Helper()
	suffix := map[string]string{"admin": "", "operator": "-operator", "reader": "-reader"}[role]
	cfg, err := config.FromBytes(r.file("$TALOSCONFIG" + suffix))
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := talosclient.New(r.t.Context(), talosclient.WithConfig(cfg), talosclient.WithEndpoints(addr),
		talosclient.WithGRPCDialOptions(grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return r.dial(ctx, "tcp", addr)
		})))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// https returns a client for URLs of the lab that believes every certificate
// and shows none, with one connection a request.
func (r reach) https() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: r.dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
}

func TestReach(t *testing.T) {
	l := start(t)
	r := reach{t, l}
	for i, role := range []string{"admin", "operator", "reader"} {
		v, err := r.talos(fmt.Sprintf("10.5.0.%d", 2+i), role).Version(t.Context())
		if err != nil || v.GetMessages()[0].GetVersion().GetTag() != DefaultTalosVersion {
			t.Errorf("Version() as %s = %v, %v; want %s", role, v, err, DefaultTalosVersion)
		}
	}
	resp, err := r.https().Get("https://10.5.0.50:6443/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("GET /readyz without a certificate = %s; want 401", resp.Status)
	}
	if _, err := r.dial(t.Context(), "tcp", "10.5.0.2:9"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dial a closed port = %v; want that it is refused", err)
	}
}

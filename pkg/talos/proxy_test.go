package talos

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// connectProxy is an HTTP proxy on loopback that knows the way into a world.
type connectProxy struct {
	world  *world
	addr   string
	answer string // in place of a way, "" for the way

	mu    sync.Mutex
	asked []string // mu guards asked
}

func newConnectProxy(t *testing.T, w *world, answer string) *connectProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &connectProxy{world: w, addr: l.Addr().String(), answer: answer}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(t, conn)
		}
	}()
	return p
}

func (p *connectProxy) serve(t *testing.T, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Host)
	p.mu.Unlock()
	if p.answer != "" {
		_, _ = io.WriteString(conn, p.answer)
		return
	}
	node, err := p.world.dial(t.Context(), req.Host)
	if err != nil {
		return
	}
	defer func() { _ = node.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(node, conn); _ = node.Close() }()
	_, _ = io.Copy(conn, node)
}

// behind is a client without a way of its own: it dials by the environment, and
// that sends everything to the proxy.
func (w *world) behind(t *testing.T, proxy string) *Client {
	t.Helper()
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy", "NO_PROXY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HTTPS_PROXY", proxy)
	cfg := w.config([]string{"10.5.0.2"}, nil)
	cfg.dialer = nil
	return w.open(cfg)
}

func TestNodesBehindAProxy(t *testing.T) {
	w := newWorld(t)
	threeNodes(w)
	proxy := newConnectProxy(t, w, "")
	snap, err := w.behind(t, "http://"+proxy.addr).Collect(t.Context(), CollectOptions{Facts: Ownership})
	if err != nil || names(snap) != allThree {
		t.Fatalf("Collect = %s, %v; want %s", names(snap), err, allThree)
	}
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	for _, want := range []string{"10.5.0.2:50000", "10.5.0.3:50000", "10.5.0.4:50000"} {
		if !strings.Contains(strings.Join(proxy.asked, " "), want) {
			t.Errorf("the proxy was asked for %v; want %s among them", proxy.asked, want)
		}
	}
}

// A proxy that fails is named, and its password is not.
func TestProxyThatFails(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"it is off", "off", "connection refused, through the proxy "},
		{"it forbids", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refused: HTTP 403 Forbidden, through the proxy "},
		{"it hangs up", "\r\n", ", through the proxy "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			addr := newConnectProxy(t, w, tt.answer).addr
			if tt.answer == "off" {
				addr = "127.0.0.1:1" // nobody listens there
			}
			_, err := w.behind(t, "http://me:secret@"+addr).Collect(t.Context(), CollectOptions{Facts: Ownership})
			unreachable, ok := err.(*UnreachableError) //nolint:errorlint // nothing wraps it
			if !ok {
				t.Fatalf("Collect = %v; want that nobody is reached", err)
			}
			if want := tt.want + addr + " of HTTPS_PROXY"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), `\r`) {
				t.Errorf("Collect = %v; want %q", err, want)
			}
			if !strings.Contains(unreachable.Hint(), "NO_PROXY") {
				t.Errorf("hint %q; want NO_PROXY in it", unreachable.Hint())
			}
		})
	}
}

func TestThroughProxy(t *testing.T) {
	node := netip.MustParseAddrPort("10.5.0.2:50000")
	for _, tt := range []struct {
		name, proxy, no string
		want            string
	}{
		{"no proxy", "", "", ""},
		{"a proxy", "http://10.0.0.1:3128", "", "the proxy 10.0.0.1:3128 of HTTPS_PROXY"},
		{"SOCKS", "socks5://10.0.0.1:1080", "", "the proxy 10.0.0.1:1080 of HTTPS_PROXY"},
		{"not for the node's network", "http://10.0.0.1:3128", "10.5.0.0/24", ""},
		{"not for the node", "http://10.0.0.1:3128", "localhost,10.5.0.2", ""},
		{"for nobody", "http://10.0.0.1:3128", "*", ""},
		{"for this node, and not for another", "http://10.0.0.1:3128", "10.5.0.3", "the proxy 10.0.0.1:3128 of HTTPS_PROXY"},
	} {
		for _, name := range []string{"https_proxy", "no_proxy"} {
			t.Setenv(name, "")
		}
		t.Setenv("HTTPS_PROXY", tt.proxy)
		t.Setenv("NO_PROXY", tt.no)
		if got := throughProxy(node); got != tt.want {
			t.Errorf("%s: throughProxy(%v) = %q; want %q", tt.name, node, got, tt.want)
		}
	}
	t.Setenv("HTTPS_PROXY", "")
	t.Setenv("NO_PROXY", "")
	t.Setenv("https_proxy", "http://10.0.0.1:3128")
	if got, want := throughProxy(node), "the proxy 10.0.0.1:3128 of https_proxy"; got != want {
		t.Errorf("throughProxy = %q; want %q", got, want)
	}
	if got := throughProxy(netip.MustParseAddrPort("127.0.0.1:50000")); got != "" {
		t.Errorf("throughProxy of loopback = %q; want none", got)
	}
}

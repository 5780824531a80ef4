package talos

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/siderolabs/talos/pkg/machinery/client/dialer"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// dialByEnvironment dials addr as it is, or through the proxy to which the
// environment leads, for no longer than ctx lasts. The client library's own dialer
// waits for a proxy for ever, and keeps a goroutine and a connection for each that
// says nothing (machinery v1.13.9 client/dialer/proxy.go): a watch of a night
// would run out of them.
func dialByEnvironment(ctx context.Context, addr string) (net.Conn, error) {
	through, err := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: addr})
	if err != nil {
		return nil, err
	}
	switch direct := dialer.NetDialerWithTCPKeepalive(); {
	case through == nil:
		return direct.DialContext(ctx, "tcp", addr)
	case through.Scheme == "socks5":
		return dialSOCKS(ctx, direct, through, addr)
	case through.Scheme == "https":
		secure := &tls.Dialer{NetDialer: direct, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
		return dialConnect(ctx, secure, through, addr)
	default:
		return dialConnect(ctx, direct, through, addr)
	}
}

func dialSOCKS(ctx context.Context, direct *net.Dialer, through *url.URL, addr string) (net.Conn, error) {
	var auth *proxy.Auth
	if u := through.User; u != nil {
		password, _ := u.Password()
		auth = &proxy.Auth{User: u.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", through.Host, auth, direct)
	if err != nil {
		return nil, err
	}
	inTime, ok := d.(proxy.ContextDialer)
	if !ok {
		return nil, fmt.Errorf("a %T waits for ever", d)
	}
	return inTime.DialContext(ctx, "tcp", addr)
}

// dialConnect asks an HTTP proxy for the way to addr.
func dialConnect(ctx context.Context, direct proxy.ContextDialer, through *url.URL, addr string) (net.Conn, error) {
	conn, err := direct.DialContext(ctx, "tcp", through.Host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = askToConnect(conn, through.User, addr)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func askToConnect(conn net.Conn, user *url.Userinfo, addr string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: addr}, Header: http.Header{"User-Agent": {"vipctl"}}}
	if user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, headerLimit))
	answer, err := http.ReadResponse(in, req) //nolint:bodyclose // that would wait for its end
	if err != nil {
		return fmt.Errorf("asking for the way: %w", err)
	}
	switch {
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("refused: HTTP %s", answer.Status)
	case in.Buffered() > 0: // in TLS the one who dialled speaks first
		return errors.New("what the proxy leads to speaks unasked, and so is no Talos API")
	}
	return nil
}

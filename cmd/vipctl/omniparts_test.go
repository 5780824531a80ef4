//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/siderolabs/go-api-signature/pkg/message"
	"github.com/siderolabs/go-api-signature/pkg/serviceaccount"
	"github.com/siderolabs/grpc-proxy/proxy"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/vishvananda/netlink"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The names under which this test binary is a part of the way from an operator's
// laptop to a cluster behind a proxy such as Omni.
const (
	// omniProxy is the proxy: it runs on the lab's workstation, and listens on a
	// Unix socket, which is reached from other network namespaces as well.
	omniProxy = "omni-proxy"
	// omniLaptop is the laptop: it runs in a network namespace of its own, from
	// which nothing but the proxy is reached, and runs vipctl there.
	omniLaptop = "omni-laptop"
)

// What both are told by the environment.
const (
	omniSocket    = "OMNI_SOCKET"
	omniTLS       = "OMNI_TLS"       // the proxy's certificate and key, a file
	omniTrusted   = "OMNI_TRUSTED"   // the service account whose signature the proxy demands
	omniStrangers = "OMNI_STRANGERS" // addresses that another network has, where the laptop is
	omniMute      = "OMNI_MUTE"      // those take connections and say nothing
	omniTook      = "OMNI_TOOK"      // a file for how long vipctl ran
)

// omniPart runs this test binary as the part of that name.
func omniPart(name string) int {
	part := map[string]func() (int, error){omniProxy: runProxy, omniLaptop: runLaptop}[name]
	code, err := part()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return max(code, 99)
	}
	return code
}

// router is the proxy: it passes a call on to the node that it names, with the
// lab's own credentials, if it is signed by whom it trusts.
type router struct {
	trusted *serviceaccount.ServiceAccount
	tls     *tls.Config

	mu    sync.Mutex                  // guards conns
	conns map[string]*grpc.ClientConn // by node
}

func runProxy() (int, error) {
	trusted, err := serviceaccount.Decode(os.Getenv(omniTrusted))
	if err != nil {
		return 0, err
	}
	cert, err := tls.LoadX509KeyPair(os.Getenv(omniTLS), os.Getenv(omniTLS))
	if err != nil {
		return 0, err
	}
	cluster, err := labCredentials()
	if err != nil {
		return 0, err
	}
	l, err := net.Listen("unix", os.Getenv(omniSocket))
	if err != nil {
		return 0, err
	}
	r := &router{trusted: trusted, tls: cluster, conns: map[string]*grpc.ClientConn{}}
	return 0, grpc.NewServer(
		grpc.Creds(credentials.NewServerTLSFromCert(&cert)),
		grpc.ForceServerCodecV2(proxy.Codec()),
		grpc.UnknownServiceHandler(proxy.TransparentHandler(r.direct)),
	).Serve(l)
}

// labCredentials are those of the workstation's talosconfig.
func labCredentials() (*tls.Config, error) {
	file, err := clientconfig.Open(os.Getenv("TALOSCONFIG"))
	if err != nil {
		return nil, err
	}
	selected := file.Contexts[file.Context]
	pair, err := talosclient.CertificateFromConfigContext(selected)
	if err != nil {
		return nil, err
	}
	ca, err := base64.StdEncoding.DecodeString(selected.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the talosconfig has no authority")
	}
	return &tls.Config{Certificates: []tls.Certificate{*pair}, RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func (r *router) direct(ctx context.Context, method string) (proxy.Mode, []proxy.Backend, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	signed := message.NewGRPC(md, method)
	signature, err := signed.Signature()
	if err == nil {
		err = signed.VerifySignature(r.trusted.Key)
	}
	switch node := md.Get("node"); {
	case err != nil:
		return proxy.One2One, nil, status.Error(codes.Unauthenticated, err.Error())
	case signature.Identity != r.trusted.Name:
		return proxy.One2One, nil, status.Errorf(codes.Unauthenticated, "%s is not known", signature.Identity)
	case !slices.Equal(md.Get(message.ContextHeaderKey), []string{"lab"}): // the talosconfig's cluster
		return proxy.One2One, nil, status.Errorf(codes.NotFound, "no cluster is called %q", md.Get(message.ContextHeaderKey))
	case len(node) != 1 || len(md.Get("nodes")) > 0:
		return proxy.One2One, nil, status.Errorf(codes.InvalidArgument, "a call is for one node, not for %q and %q", node, md.Get("nodes"))
	default:
		conn, err := r.dial(node[0])
		return proxy.One2One, []proxy.Backend{&proxy.SingleBackend{GetConn: func(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
			return metadata.NewOutgoingContext(ctx, metadata.MD{}), conn, err
		}}}, nil
	}
}

func (r *router) dial(node string) (*grpc.ClientConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if conn := r.conns[node]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(node, "50000"),
		grpc.WithTransportCredentials(credentials.NewTLS(r.tls)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(proxy.Codec())))
	if err == nil {
		r.conns[node] = conn
	}
	return conn, err
}

// runLaptop makes the laptop's network and runs vipctl with its own arguments.
func runLaptop() (int, error) {
	runtime.LockOSThread() // vipctl ends with this thread
	strangers := strings.FieldsFunc(os.Getenv(omniStrangers), func(r rune) bool { return r == ',' })
	if err := network(strangers); err != nil {
		return 0, err
	}
	answering, err := beStrangers(strangers)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, l := range answering {
			_ = l.Close()
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:443")
	if err != nil {
		return 0, err
	}
	go relay(l)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGINT)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = "vipctl"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range asked {
			_ = cmd.Process.Signal(s)
		}
	}()
	_ = cmd.Wait() // its exit code says it all
	if file := os.Getenv(omniTook); file != "" {
		if err := os.WriteFile(file, []byte(time.Since(begun).String()), 0o600); err != nil {
			return 0, err
		}
	}
	return cmd.ProcessState.ExitCode(), nil
}

// network sets the loopback device up, and gives it the strangers' addresses.
func network(strangers []string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Attrs().OperState == netlink.OperUp {
			return fmt.Errorf("the link %s is up: this is no network of its own", l.Attrs().Name)
		}
	}
	for _, s := range strangers {
		addr, err := netlink.ParseAddr(s + "/32")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(lo)
}

// beStrangers has another cluster answer at the addresses: its kube-apiservers
// are not ready, and that at the second address answers at the first as well,
// which is its VIP.
func beStrangers(addrs []string) (answering []net.Listener, err error) {
	var cert tls.Certificate
	for i := len(addrs) - 1; i >= 0; i-- {
		if i > 0 {
			data, err := selfSigned(fmt.Sprintf("other-%d", i), addrs[i])
			if err != nil {
				return nil, err
			}
			if cert, err = tls.X509KeyPair(data, data); err != nil {
				return nil, err
			}
		}
		for _, port := range []string{"6443", "50000"} {
			l, err := net.Listen("tcp", net.JoinHostPort(addrs[i], port))
			if err != nil {
				return nil, err
			}
			answering = append(answering, l)
			if os.Getenv(omniMute) == "" {
				serve(l, cert)
			}
		}
	}
	return answering, nil
}

func serve(l net.Listener, cert tls.Certificate) {
	failing := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	server := &http.Server{Handler: http.HandlerFunc(failing), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		_ = server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	}()
}

// relay leads every connection to the proxy.
func relay(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = near.Close() }()
			far, err := net.Dial("unix", os.Getenv(omniSocket))
			if err != nil {
				return
			}
			defer func() { _ = far.Close() }()
			go func() {
				_, _ = io.Copy(far, near)
				_ = far.(*net.UnixConn).CloseWrite()
			}()
			_, _ = io.Copy(near, far)
		}()
	}
}

// selfSigned returns a certificate for the name and the address, and its key, as
// PEM.
func selfSigned(name, addr string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.ParseIP(addr)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

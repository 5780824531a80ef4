//go:build linux

package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// stopTimeout is what running requests may take after SIGTERM. Watches end at
// once.
const stopTimeout = 500 * time.Millisecond

// Main is the child process of Command. It returns the exit code: 0 after a
// graceful stop by SIGTERM.
func Main(configPath string) int {
	cfg, err := process.ReadConfig[Config](process.APIServer, configPath)
	if err != nil {
		return fail(err)
	}
	// The terminal's Ctrl-C is for the command that runs in the lab.
	signal.Ignore(syscall.SIGINT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	events := process.Truth()
	defer func() { _ = events.Close() }()
	if err := Serve(ctx, cfg, truth.NewWriter(cfg.Node, events)); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "apiserver:", err)
	return 1
}

// Serve runs the API server in this process until ctx ends. It records
// truth.Listening, and truth.Accepted for the first connection to a VIP since
// the node gained it (or since the server listens, if that is later).
func Serve(ctx context.Context, cfg Config, events truth.Recorder) error {
	cert, authorities, err := cfg.Files.ServerTLS()
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	client, err := etcd.Client(cfg.Etcd, cfg.etcdEndpoint())
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()

	listener, err := net.Listen("tcp", cfg.listen())
	if err != nil {
		return err
	}
	events.Record(truth.Event{Kind: truth.Listening, Detail: listener.Addr().String()})
	witness := newWitness(cfg.VIPs, events)
	go witness.watch(ctx)

	a := newAPI(client, ctx.Done())
	go a.bootstrap(ctx)
	go a.compact(ctx)
	checks := &checks{etcd: newHealth(client), unreadyFile: cfg.UnreadyFile, ending: ctx.Done()}

	server := &http.Server{
		Handler:           newHandler(cfg, authorities, a, checks),
		ReadHeaderTimeout: 10 * time.Second,
		// The names and addresses of those who hang up in a handshake (every
		// TCP probe does) are no news.
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{cert},
			// A certificate that does not verify makes a request anonymous,
			// it does not end the handshake.
			ClientAuth: tls.RequestClientCert,
			ClientCAs:  authorities,
		},
	}
	return serve(ctx, server, &witnessed{Listener: listener, witness: witness})
}

func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return nil
}

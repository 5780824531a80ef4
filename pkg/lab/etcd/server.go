//go:build linux

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// segmentBytes is the size of a file of the write-ahead log, which etcd
// allocates beforehand, two at a time. The default of 64 MB would take 123 MB
// of memory a node, for the lab's disks lie there.
const segmentBytes = 4 << 20

// Main is the child process of Command. It returns the exit code: 0 after a
// graceful stop by SIGTERM. It records truth.EtcdReady once the member answers
// linearizable reads, that is when a quorum is there, and what it sees of
// elections: keep-alives, expired leases, keys written and deleted.
func Main(configPath string) int {
	cfg, err := process.ReadConfig[Config](process.Etcd, configPath)
	if err != nil {
		return fail(err)
	}
	// The terminal's Ctrl-C is for the command that runs in the lab.
	signal.Ignore(syscall.SIGINT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := process.Truth()
	defer func() { _ = log.Close() }()
	wal.SegmentSizeBytes = segmentBytes
	events := truth.NewWriter(cfg.Name, log)
	err = Serve(ctx, cfg, events, func() { events.Record(truth.Event{Kind: truth.EtcdReady}) })
	if err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "etcd:", err)
	return 1
}

// Serve runs the member in this process until ctx ends, then stops it
// gracefully: it hands raft leadership over first. A member that stops by
// itself, for it was removed from the cluster, is not waited for: etcd exits at
// once then. ready, if not nil, is called once, when the member answers
// linearizable reads. What it sees of elections is written down in rec, if not
// nil.
func Serve(ctx context.Context, cfg Config, rec truth.Recorder, ready func()) error {
	embedded := embedConfig(cfg)
	if rec != nil {
		embedded.GRPCAdditionalServerOptions = append(embedded.GRPCAdditionalServerOptions, keepAlives(rec))
	}
	server, err := embed.StartEtcd(embedded)
	if err != nil {
		return fmt.Errorf("start member %s: %w", cfg.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := func() {}
	if rec != nil {
		if stop, err = watchElections(ctx, server.Server, rec); err != nil {
			server.Close()
			return fmt.Errorf("member %s: %w", cfg.Name, err)
		}
	}
	go announceReady(ctx, server, ready)
	select {
	case <-ctx.Done():
		stop()
		server.Close()
		return nil
	case err := <-server.Err():
		stop()
		server.Close()
		return fmt.Errorf("member %s: %w", cfg.Name, err)
	case <-server.Server.StopNotify():
		stop()
		go server.Close() // it would wait 7 s for its connections
		return errors.New("member " + cfg.Name + " stopped by itself")
	}
}

func announceReady(ctx context.Context, server *embed.Etcd, ready func()) {
	if ready == nil {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-server.Server.StopNotify():
		return
	case <-server.Server.ReadyNotify():
	}
	for ctx.Err() == nil {
		if server.Server.LinearizableReadNotify(ctx) == nil {
			ready()
			return
		}
	}
}

func embedConfig(cfg Config) *embed.Config {
	e := embed.NewConfig()
	e.Name, e.Dir = cfg.Name, cfg.Dir
	e.ListenPeerUrls = []url.URL{cfg.peerURL()}
	e.AdvertisePeerUrls = []url.URL{cfg.peerURL()}
	e.AdvertiseClientUrls = []url.URL{cfg.clientURL()}
	e.ListenClientUrls = []url.URL{cfg.clientURL()}
	if local := cfg.localURL(); local != cfg.clientURL() {
		e.ListenClientUrls = append(e.ListenClientUrls, local)
	}
	e.InitialCluster = cfg.initialCluster()
	e.ClusterState = embed.ClusterStateFlagNew
	if cfg.Join || wal.Exist(filepath.Join(e.Dir, "member", "wal")) {
		e.ClusterState = embed.ClusterStateFlagExisting
	}
	files := cfg.Files
	e.ClientTLSInfo = transport.TLSInfo{
		CertFile: files.Cert, KeyFile: files.Key, TrustedCAFile: files.CA, ClientCertAuth: true,
	}
	e.PeerTLSInfo = transport.TLSInfo{
		CertFile: files.PeerCert, KeyFile: files.PeerKey, TrustedCAFile: files.CA, ClientCertAuth: true,
	}
	// The server's default, which the configuration of an embedded one lacks:
	// with zero every request is a slow one.
	e.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	e.LogLevel, e.LogFormat, e.LogOutputs = "warn", "console", []string{embed.StdErrLogOutput}
	return e
}

//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// Main is a machine's process: PID 1 of its own PID, network, mount and UTS
// namespaces, with the log of true instants and the control socket inherited
// (see package process). It returns ExitReboot or ExitPowerOff when the
// machine ended in order, and 1 when it could not start or its supervisor is
// gone. The caller exits with that code, and so ends what is left of the
// machine.
func Main(configPath string) int {
	logger := log.New(os.Stderr, "", log.LstdFlags|log.Lmicroseconds)
	code, err := powerOn(configPath, logger)
	if err != nil {
		logger.Printf("machine: %v", err)
		return 1
	}
	return code
}

// powerOn is the machine from its start to its end.
func powerOn(configPath string, logger *log.Logger) (int, error) {
	ignoreStray()
	cfg, err := process.ReadConfig[Config](process.Machine, configPath)
	if err != nil {
		return 1, err
	}
	truthLog := process.Truth()
	if err := requireFile(truthLog, "log of true instants"); err != nil {
		return 1, err
	}
	unix.CloseOnExec(process.TruthFD) // children get it as their own ExtraFile
	rec := truth.NewWriter(cfg.Name, truthLog)
	ctl, err := newControl(os.NewFile(process.ControlFD, "control"))
	if err != nil {
		return 1, err
	}
	if err := isolate(cfg.Name); err != nil {
		return 1, err
	}
	if err := ctl.awaitLink(func() error { return setUpLinks(cfg) }); err != nil {
		return 1, err
	}
	mark, err := markBoot(cfg.Dir, time.Now())
	if err != nil {
		return 1, fmt.Errorf("note the boot: %w", err)
	}
	m, err := newMachine(cfg, rec, logger, mark)
	if err != nil {
		return 1, err
	}
	return m.operate(ctl, truthLog)
}

// operate makes the machine's parts real and runs it to its end.
func (m *machine) operate(ctl *control, truthLog *os.File) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := newReaper()
	go r.run(ctx)
	mirror := &addresses{m: m}
	k := &kernel{m: m, addresses: mirror}
	if m.maintenance {
		if err := m.maintenanceParts(mirror.has); err != nil {
			return 1, err
		}
	} else if err := m.configuredParts(ctx, r, truthLog, mirror); err != nil {
		return 1, err
	}
	m.linger = lingerTime
	go func() {
		if err := k.run(ctx); err != nil {
			m.log.Printf("%v", err)
			m.end(1)
		}
	}()
	go mirror.repeat(ctx)
	f := &faults{m: m, dial: m.dialEtcd}
	go func() {
		if err := ctl.serve(f.obey); err != nil {
			m.log.Printf("%v", err)
			m.end(1)
		}
	}()
	return m.run(ctx), nil
}

// configuredParts gives the machine all that its configuration asks for.
func (m *machine) configuredParts(ctx context.Context, r *reaper, truthLog *os.File, mirror *addresses) error {
	secrets, err := m.readSecrets()
	if err != nil {
		return err
	}
	m.secrets = secrets
	client := &etcdClient{}
	if !m.cfg.Worker {
		if client, err = secrets.etcdClient(); err != nil {
			return err
		}
	}
	m.parts = realParts(m, r, truthLog, secrets, client)
	m.etcdCluster = secrets.etcdCluster(m.cfg.Peers)
	m.parts.listen = apiListener(secrets.server, secrets.proxy, client.get, mirror.has)
	go (&discovery{m: m, tls: secrets.proxy}).run(ctx)
	if !m.cfg.Worker {
		go m.watchNodes(ctx)
	}
	if m.cfg.KubeAPIServer != "" {
		m.apiserver.up, m.apiserver.down = m.listenings(ctx)
	}
	if m.cfg.NoKubePrism {
		return nil
	}
	go func() {
		if err := (&kubePrism{m: m}).run(ctx); err != nil {
			m.log.Printf("%v", err)
		}
	}()
	return nil
}

// dialEtcd returns a client of the members at the URLs, with the node's own
// certificate.
func (m *machine) dialEtcd(urls ...string) (*clientv3.Client, error) {
	return etcd.Client(m.secrets.etcd, urls...)
}

// ignoreStray lets signals pass that are not meant for a machine: a terminal's
// Ctrl-C, and a SIGTERM to every process. They are caught and not ignored, for
// children would inherit that.
func ignoreStray() {
	stray := make(chan os.Signal, 1)
	signal.Notify(stray, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		for range stray {
		}
	}()
}

// secretFiles is the machine's part of the cluster's secrets.
type secretFiles struct {
	cluster       *pki.Cluster
	etcd          pki.EtcdFiles
	apiserver     pki.APIServerFiles
	kubelet       pki.KubeletFiles
	server, proxy *tls.Config
	// serviceAccount is the file with the key that a real kube-apiserver signs
	// tokens with.
	serviceAccount string
}

// readSecrets issues the machine's certificates for this boot. The VIPs are
// among the names from the start, as on Talos where the cluster's endpoint is
// the VIP.
func (m *machine) readSecrets() (*secretFiles, error) {
	cluster, err := pki.ReadFile(m.cfg.Secrets)
	if err != nil {
		return nil, err
	}
	own := m.cfg.Addrs()
	all := slices.Concat(own, m.cfg.AllVIPs)
	s := &secretFiles{cluster: cluster}
	if s.proxy, err = cluster.TalosProxyTLS(); err != nil {
		return nil, fmt.Errorf("apid client certificate: %w", err)
	}
	if s.kubelet, err = cluster.KubeletFiles(m.path("pki", "kubelet"), m.cfg.Name); err != nil {
		return nil, fmt.Errorf("kubelet certificate: %w", err)
	}
	if m.cfg.Worker {
		if s.server, err = cluster.TalosServerTLS(m.cfg.Name, own); err != nil {
			return nil, fmt.Errorf("apid certificate: %w", err)
		}
		return s, nil
	}
	if s.etcd, err = cluster.EtcdFiles(m.path("pki", "etcd"), m.cfg.Name, own); err != nil {
		return nil, fmt.Errorf("etcd certificates: %w", err)
	}
	if s.apiserver, err = cluster.APIServerFiles(m.path("pki", "apiserver"), m.cfg.Name, all); err != nil {
		return nil, fmt.Errorf("apiserver certificates: %w", err)
	}
	if s.serviceAccount, err = cluster.ServiceAccountFile(m.path("pki", "apiserver")); err != nil {
		return nil, fmt.Errorf("service account key: %w", err)
	}
	if s.server, err = cluster.TalosServerTLS(m.cfg.Name, all); err != nil {
		return nil, fmt.Errorf("apid certificate: %w", err)
	}
	return s, nil
}

//go:build linux

package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// listenPoll is how exactly it is known when a real kube-apiserver listens:
// unlike the stand-in it cannot tell.
const listenPoll = 20 * time.Millisecond

// kubeAPIServer returns the command that runs a real kube-apiserver, not yet
// started, with the flags that Talos gives it (Talos v1.13.9
// internal/app/machined/pkg/controllers/k8s/control_plane_static_pod.go) as far
// as they matter where no pods run.
func (m *machine) kubeAPIServer(s *secretFiles) (*exec.Cmd, error) {
	addr, all := m.cfg.Addr.Addr(), netip.IPv6Unspecified()
	if addr.Is4() {
		all = netip.IPv4Unspecified()
	}
	issuer := m.cfg.endpoint()
	return exec.Command(m.cfg.KubeAPIServer,
		"--advertise-address="+addr.String(), "--bind-address="+all.String(), fmt.Sprintf("--secure-port=%d", apiserver.Port),
		"--anonymous-auth=false", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--profiling=false", "--service-cluster-ip-range=10.96.0.0/12",
		"--etcd-servers="+etcd.LocalEndpoint, "--etcd-cafile="+s.etcd.CA,
		"--etcd-certfile="+s.etcd.ClientCert, "--etcd-keyfile="+s.etcd.ClientKey,
		"--client-ca-file="+s.apiserver.CA, "--tls-cert-file="+s.apiserver.Cert, "--tls-private-key-file="+s.apiserver.Key,
		"--service-account-issuer="+issuer, "--api-audiences="+issuer,
		"--service-account-key-file="+s.serviceAccount, "--service-account-signing-key-file="+s.serviceAccount,
		"--cert-dir="+m.path("pki", "apiserver"),
	), nil
}

// listenings returns what to do at each start of the apiserver and at each end,
// so that it is noted when it listens.
func (m *machine) listenings(ctx context.Context) (up func(), down func(wanted bool)) {
	var stop context.CancelFunc
	up = func() {
		var run context.Context
		run, stop = context.WithCancel(ctx)
		go m.awaitListening(run)
	}
	return up, func(bool) { stop() }
}

func (m *machine) awaitListening(ctx context.Context) {
	addr := netip.AddrPortFrom(m.cfg.Addr.Addr(), apiserver.Port).String()
	for pause(ctx, listenPoll) {
		conn, err := net.DialTimeout("tcp", addr, listenPoll)
		if err == nil {
			_ = conn.Close()
			m.truth.Record(truth.Event{Kind: truth.Listening, Detail: addr})
			return
		}
	}
}

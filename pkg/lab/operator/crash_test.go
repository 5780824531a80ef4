//go:build linux

package operator_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/operator"
	"github.com/vipctl/vipctl/pkg/lab/pki"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// candidate in the environment makes the test binary a node's operator; it
// holds a candidateConfig.
const candidate = "VIPCTL_TEST_CANDIDATE"

type candidateConfig struct {
	Files    pki.EtcdFiles
	Endpoint string
}

func TestMain(m *testing.M) {
	if data := os.Getenv(candidate); data != "" {
		os.Exit(runCandidate(data))
	}
	os.Exit(m.Run())
}

func runCandidate(data string) int {
	var cfg candidateConfig
	if err := json.Unmarshal([]byte(data), &cfg); err != nil {
		return 1
	}
	err := operator.Run(context.Background(), operator.Config{
		VIP: vip, Link: "eth0", Hostname: named("cp-1"), TTL: ttl, Gate: newGate(), Truth: &journal{},
		Kernel: &link{wire: &wire{held: map[string]bool{}}, name: "cp-1"},
		Client: func(context.Context) (*clientv3.Client, error) { return etcd.Client(cfg.Files, cfg.Endpoint) },
	})
	if err != nil {
		return 1
	}
	return 0
}

func TestKilledOwnerIsFollowedWhenItsLeaseEnds(t *testing.T) {
	s, w := startEtcd(t), newWire(t)
	data, err := json.Marshal(candidateConfig{Files: s.files, Endpoint: s.endpoint})
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.Command("/proc/self/exe")
	owner.Env = append(os.Environ(), candidate+"="+string(data))
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	killed := make(chan error, 1)
	go func() { killed <- owner.Wait() }()
	t.Cleanup(func() { _ = owner.Process.Kill() })
	awaitQueue(t, s.client(t), 1)
	heir := s.run(t, "cp-2", w, newGate(), nil)
	awaitQueue(t, s.client(t), 2)

	at := truth.Now()
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-killed
	await(t, "cp-2 owns the VIP", w.ownedBy("cp-2"))
	await(t, "cp-2 has told so", heir.log.has(truth.AddressAdded))
	// The lease was last kept alive up to a third of it before the death;
	// etcd looks for expired leases every half second.
	waited := heir.log.at(truth.AddressAdded) - at
	if waited < ttl/2 || waited > ttl+4*time.Second {
		t.Errorf("takeover %v after the owner was killed; want the rest of a lease of %v", waited, ttl)
	}
}

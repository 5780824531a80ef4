//go:build linux

package etcd

import (
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// LocalEndpoint is where Talos's own clients ask: the member on their node.
const LocalEndpoint = "https://localhost:2379"

// Client returns a client of the members at endpoints ("https://HOST:PORT"),
// of the local one if none is given. It connects in the background: calls wait
// for the connection until their context ends. A lost connection is tried
// again at least once a second, for a node of the lab boots in a few.
func Client(files pki.EtcdFiles, endpoints ...string) (*clientv3.Client, error) {
	if len(endpoints) == 0 {
		endpoints = []string{LocalEndpoint}
	}
	tls, err := files.ClientTLS()
	if err != nil {
		return nil, fmt.Errorf("etcd client: %w", err)
	}
	retry := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 2 * time.Second,
	}
	return clientv3.New(clientv3.Config{
		Endpoints:   endpoints,
		TLS:         tls,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(retry)},
		Logger:      zap.NewNop(),
	})
}

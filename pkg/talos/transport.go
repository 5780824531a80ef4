package talos

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// answerLimit is the most that a list may be as a whole, in bytes, and a message of
// any stream. Lists have some tens of kilobytes; but a node may have the addresses
// of 10,000 services of two families, where kube-proxy uses IPVS, each of some 300
// bytes. The client's own limit of 32 MiB for each message, with none for a list,
// would let a node that lies take the memory of a look at a thousand clusters.
const answerLimit = 8 << 20

// headerLimit is the most that the headers of an answer may be, in bytes; the
// reason of a refusal is one.
const headerLimit = 64 << 10

// connBuffer is what gRPC keeps for reading and for writing of a connection, in
// place of 32 KiB each: questions and answers are small.
const connBuffer = 4 << 10

// dialOptions hold for every connection. Nothing is ever sent twice: a reboot
// that is repeated reboots twice.
func (c *Client) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithReadBufferSize(connBuffer),
		grpc.WithWriteBufferSize(connBuffer),
		grpc.WithMaxHeaderListSize(headerLimit),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerLimit)),
		grpc.WithChainUnaryInterceptor(boundAnswer),
		grpc.WithChainStreamInterceptor(boundStream),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: c.cfg.Timeout,
		}),
	}
}

// tlsConfig is what every connection of a context uses, nil where the context
// identifies us otherwise (Omni) and the client library must see to it.
func tlsConfig(selected *clientconfig.Context) (*tls.Config, error) {
	if selected.Auth.Basic != nil || selected.Auth.SideroV1 != nil {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if selected.CA != "" {
		pem, err := base64.StdEncoding.DecodeString(selected.CA)
		if err != nil {
			return nil, fmt.Errorf("the CA is not base64: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("the CA holds no certificate")
		}
	}
	pair, err := talosclient.CertificateFromConfigContext(selected)
	if err != nil {
		return nil, err
	}
	if pair != nil {
		cfg.Certificates = []tls.Certificate{*pair}
	}
	return cfg, nil
}

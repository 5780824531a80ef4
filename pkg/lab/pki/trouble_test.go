package pki_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

func TestCertificatesThatAreNotToBeBelieved(t *testing.T) {
	cluster, other := newCluster(t), newCluster(t)
	data, err := cluster.Talosconfig("test", nil, nil, "os:reader", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	client := talosClient(t, data, "10.5.0.2")
	for _, tt := range []struct {
		name    string
		cluster *pki.Cluster
		host    string
		ttl     time.Duration
		want    string // in the client's error, "" for none
	}{
		{"its own", cluster, "cp-1", time.Hour, ""},
		{"one that expired", cluster, "cp-1", -time.Hour, "certificate has expired"},
		{"another cluster's", other, "cp-1", time.Hour, "signed by unknown authority"},
		{"one that names nobody", cluster, "", time.Hour, "doesn't contain any IP SANs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ips := nodeIPs
			if tt.host == "" {
				ips = nil
			}
			cert, err := tt.cluster.TalosServerCertificate(tt.host, ips, tt.ttl)
			if err != nil {
				t.Fatal(err)
			}
			server, err := cluster.TalosServerTLS("cp-1", nodeIPs)
			if err != nil {
				t.Fatal(err)
			}
			server.Certificates = []tls.Certificate{cert}
			_, err = handshake(t, server, client)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("handshake = %v; want %q", err, tt.want)
			}
		})
	}
}

func TestMaintenanceTLSAsksNobody(t *testing.T) {
	server, err := pki.MaintenanceTLS("cp-1", nodeIPs)
	if err != nil {
		t.Fatal(err)
	}
	if serverErr, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true}); serverErr != nil || err != nil {
		t.Errorf("handshake without a certificate = %v, %v; want nil", serverErr, err)
	}
	if _, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("handshake by TLS 1.2 = nil; want an error")
	}
}

package probe

import (
	"testing"

	"github.com/vipctl/vipctl/pkg/outage"
)

// What a sample of /readyz costs, client and server together: at 20 ms and
// four probers there are 200 a second.
func BenchmarkHTTPS(b *testing.B) {
	cert := certificate(b)
	p := &HTTPS{Addr: apiserver(b, cert, status(200)), Hosts: NewHosts(map[Fingerprint]string{FingerprintOf(cert.Leaf): "cp-1"})}
	for b.Loop() {
		if result, _ := p.Probe(b.Context()); result != outage.OK {
			b.Fatal(result)
		}
	}
}

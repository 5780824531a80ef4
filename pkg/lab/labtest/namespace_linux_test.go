package labtest

import (
	"net"
	"testing"
)

func TestInNamespace(t *testing.T) {
	InNamespace(t, func(t *testing.T) {
		links, err := net.Interfaces()
		if err != nil || len(links) != 1 || links[0].Name != "lo" {
			t.Errorf("Interfaces() = %v, %v; want lo alone", links, err)
		}
	})
}

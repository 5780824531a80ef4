//go:build !linux

package arp

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func open(netip.Addr) (wire, error) {
	return nil, fmt.Errorf("asking the segment works on Linux only, and this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func neighbour(netip.Addr) (cluster.Neighbour, error) {
	return cluster.Neighbour{}, fmt.Errorf("the neighbour table is read on Linux only, and this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

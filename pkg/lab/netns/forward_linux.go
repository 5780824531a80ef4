package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Forward makes a router of the network namespace of the calling thread, for
// IPv4 and, where the kernel has it, IPv6.
func Forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("forwarding IPv4: %w", err)
	}
	err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
		return fmt.Errorf("forwarding IPv6: %w", err)
	}
	return nil
}

//go:build linux

package node

import (
	"os"
	"strconv"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// kernelParam is a setting of the kernel that Talos manages.
type kernelParam struct {
	key   string // as Talos names it: proc.sys.net...
	value string // Talos's own; "" for one that the lab leaves as it is
}

// kernelParams are those of Talos's (v1.13.9
// internal/app/machined/pkg/controllers/runtime/kernel_param_defaults.go) that
// a network namespace has of its own. So nodes forward IPv4: what a neighbour
// sends to a former owner of a VIP takes a detour, and arrives. IPv6 they forward
// only on links that come later, as on Talos.
func kernelParams() []kernelParam {
	return []kernelParam{
		{"proc.sys.net.ipv4.icmp_echo_ignore_broadcasts", "1"},
		{"proc.sys.net.ipv4.icmp_ignore_bogus_error_responses", "1"},
		{"proc.sys.net.ipv4.ip_forward", "1"},
		{"proc.sys.net.ipv4.ip_local_reserved_ports", strconv.Itoa(constants.ApidPort) + "," + strconv.Itoa(constants.TrustdPort)},
		{"proc.sys.net.ipv4.tcp_keepalive_intvl", "60"},
		{"proc.sys.net.ipv4.tcp_keepalive_time", "600"},
		{"proc.sys.net.ipv6.conf.default.accept_ra", "2"},
		{"proc.sys.net.ipv6.conf.default.forwarding", "1"},
	}
}

// publishKernel sets the kernel's parameters and publishes what they are then,
// and the command line of the kernel, which is the host's. A machine without
// secrets is a test's, in no network namespace of its own: it sets nothing.
func (m *machine) publishKernel() {
	for _, p := range kernelParams() {
		before, err := readParam(p.key)
		if err != nil {
			continue // not in this kernel
		}
		after := before
		if p.value != "" && m.secrets != nil {
			if err := os.WriteFile(paramPath(p.key), []byte(p.value), 0); err != nil {
				m.log.Printf("set %s: %v", p.key, err)
			} else {
				after = p.value // as Talos wrote it: the kernel may write it another way
			}
		}
		put(m, "runtime.KernelParamSpecController", runtime.NewKernelParamStatus(runtime.NamespaceName, p.key), func(r *runtime.KernelParamStatus) {
			*r.TypedSpec() = runtime.KernelParamStatusSpec{Current: after, Default: before}
		})
	}
	if line, err := os.ReadFile("/proc/cmdline"); err == nil {
		put(m, "runtime.KernelCmdlineController", runtime.NewKernelCmdline(), func(r *runtime.KernelCmdline) {
			r.TypedSpec().Cmdline = strings.TrimSpace(string(line))
		})
	}
}

func paramPath(key string) string { return "/" + strings.ReplaceAll(key, ".", "/") }

func readParam(key string) (string, error) {
	data, err := os.ReadFile(paramPath(key))
	return strings.TrimSpace(string(data)), err
}

//go:build linux

package node

import (
	"runtime"

	"github.com/google/uuid"
	"github.com/siderolabs/talos/pkg/machinery/resources/hardware"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
)

// hardwareOwner is the controller that reads a machine's SMBIOS.
const hardwareOwner = "hardware.SystemInfoController"

// systemUUID is the machine's, the same in each of its boots.
func (m *machine) systemUUID() string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(m.nodeID(m.cfg.Name))).String()
}

// publishHardware publishes the machine as a virtual one: the host's
// processors, and a UUID of its own.
func (m *machine) publishHardware() {
	put(m, hardwareOwner, hardware.NewSystemInformation(hardware.SystemInformationID), func(r *hardware.SystemInformation) {
		*r.TypedSpec() = hardware.SystemInformationSpec{Manufacturer: "vipctl", ProductName: "lab", UUID: m.systemUUID()}
	})
	put(m, hardwareOwner, hardware.NewProcessorInfo("CPU-0"), func(r *hardware.Processor) {
		cpus := uint32(runtime.NumCPU())
		*r.TypedSpec() = hardware.ProcessorSpec{Socket: "CPU 0", CoreCount: cpus, CoreEnabled: cpus, ThreadCount: cpus}
	})
	put(m, "k8s.KubeletSpecController", k8s.NewKubeletSpec(k8s.NamespaceName, k8s.KubeletID), func(r *k8s.KubeletSpec) {
		*r.TypedSpec() = k8s.KubeletSpecSpec{
			Image: "ghcr.io/siderolabs/kubelet:" + m.cfg.KubernetesVersion, ExpectedNodename: m.cfg.Name, Config: map[string]any{},
		}
	})
}

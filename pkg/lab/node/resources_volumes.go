//go:build linux

package node

import (
	"strconv"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/resources/block"
)

const (
	mib = 1 << 20
	// diskSize is that of the disk which a node says it has. Nothing is kept
	// for it: what a node writes lies in the lab's memory.
	diskSize = 20 << 10 * mib
	// diskOverhead is what the tables of partitions and their alignment take
	// (Talos v1.13.9 pkg/cluster/check/nodes.go).
	diskOverhead = 10 * mib
)

// partition is one of Talos's own.
type partition struct {
	label string
	index int
	size  uint64
	fs    block.FilesystemType
}

// partitions are those of a disk that Talos was installed on with GRUB, from
// the third on (v1.13.9 pkg/machinery/imager/quirks/partitions.go).
func partitions() []partition {
	const before = (100 + 1 + 2000) * mib // EFI, BIOS, BOOT
	meta, state := partition{constants.MetaPartitionLabel, 4, mib, block.FilesystemTypeNone}, partition{constants.StatePartitionLabel, 5, 100 * mib, block.FilesystemTypeXFS}
	rest := diskSize - before - diskOverhead - meta.size - state.size
	return []partition{meta, state, {constants.EphemeralPartitionLabel, 6, rest, block.FilesystemTypeXFS}}
}

// publishVolumes publishes the node's disk and what lies on it.
func (m *machine) publishVolumes() {
	const name = "vda"
	put(m, "block.DisksController", block.NewDisk(block.NamespaceName, name), func(r *block.Disk) {
		*r.TypedSpec() = block.DiskSpec{
			DevPath: installDisk, IOSize: 512, SectorSize: 512, SubSystem: "/sys/class/block", Transport: "virtio",
		}
		r.TypedSpec().SetSize(diskSize)
	})
	put(m, "block.SystemDiskController", block.NewSystemDisk(block.NamespaceName, block.SystemDiskID), func(r *block.SystemDisk) {
		*r.TypedSpec() = block.SystemDiskSpec{DiskID: name, DevPath: installDisk}
	})
	for _, p := range partitions() {
		put(m, "block.VolumeManagerController", block.NewVolumeStatus(block.NamespaceName, p.label), func(r *block.VolumeStatus) {
			device := installDisk + strconv.Itoa(p.index)
			*r.TypedSpec() = block.VolumeStatusSpec{
				Phase: block.VolumePhaseReady, Type: block.VolumeTypePartition, Filesystem: p.fs,
				Location: device, MountLocation: device, ParentLocation: installDisk, PartitionIndex: p.index,
			}
			r.TypedSpec().SetSize(p.size)
		})
	}
}

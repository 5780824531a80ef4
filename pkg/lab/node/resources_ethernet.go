//go:build linux

package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"golang.org/x/sys/unix"
)

const ethernetStatusOwner = "network.EthernetStatusController"

// Of linux/ethtool.h.
const (
	ethSSFeatures = 4  // ETH_SS_FEATURES, the set of the features' names
	ethStringLen  = 32 // ETH_GSTRING_LEN
)

// publishEthernet publishes what the driver of a link says of it, for the
// links whose driver says something (the loopback has none).
func (m *machine) publishEthernet(link string) bool {
	spec, err := ethernetStatus(link)
	if err != nil {
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENODEV) {
			m.log.Printf("ask the driver of %s: %v", link, err)
		}
		return false
	}
	put(m, ethernetStatusOwner, network.NewEthernetStatus(network.NamespaceName, link), func(r *network.EthernetStatus) { *r.TypedSpec() = spec })
	return true
}

// ethernetStatus asks by ioctl, and with the structures of linux/ethtool.h.
func ethernetStatus(link string) (network.EthernetStatusSpec, error) {
	var spec network.EthernetStatusSpec
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return spec, fmt.Errorf("open a socket for ethtool: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	settings := make([]byte, 44) // struct ethtool_cmd
	if err := ethtool(fd, link, unix.ETHTOOL_GSET, settings); err != nil {
		return spec, err
	}
	speed := uint32(binary.NativeEndian.Uint16(settings[12:])) | uint32(binary.NativeEndian.Uint16(settings[28:]))<<16
	if speed < 1<<31 { // else unknown
		spec.SpeedMegabits = int(speed)
	}
	spec.Duplex, spec.Port = nethelpers.Duplex(settings[14]), nethelpers.Port(settings[15])
	value := make([]byte, 8) // struct ethtool_value
	if err := ethtool(fd, link, unix.ETHTOOL_GLINK, value); err == nil {
		spec.LinkState = new(binary.NativeEndian.Uint32(value[4:]) != 0)
	}
	spec.Features, err = features(fd, link)
	return spec, err
}

// features returns the names and states of what the driver can do.
func features(fd int, link string) (network.EthernetFeatureStatusList, error) {
	info := make([]byte, 20) // struct ethtool_sset_info, with one count
	binary.NativeEndian.PutUint64(info[8:], 1<<ethSSFeatures)
	if err := ethtool(fd, link, unix.ETHTOOL_GSSET_INFO, info); err != nil {
		return nil, err
	}
	count := binary.NativeEndian.Uint32(info[16:])
	names := make([]byte, 12+count*ethStringLen) // struct ethtool_gstrings
	binary.NativeEndian.PutUint32(names[4:], ethSSFeatures)
	binary.NativeEndian.PutUint32(names[8:], count)
	if err := ethtool(fd, link, unix.ETHTOOL_GSTRINGS, names); err != nil {
		return nil, err
	}
	blocks := (count + 31) / 32
	states := make([]byte, 8+blocks*16) // struct ethtool_gfeatures: available, requested, active, never changed
	binary.NativeEndian.PutUint32(states[4:], blocks)
	if err := ethtool(fd, link, unix.ETHTOOL_GFEATURES, states); err != nil {
		return nil, err
	}
	var list network.EthernetFeatureStatusList
	for i := range count {
		name, _, _ := bytes.Cut(names[12+i*ethStringLen:][:ethStringLen], []byte{0})
		if len(name) == 0 {
			continue
		}
		bit := func(word uint32) bool {
			return binary.NativeEndian.Uint32(states[8+i/32*16+word*4:])&(1<<(i%32)) != 0
		}
		list = append(list, network.EthernetFeatureStatus{Name: string(name), Status: featureState(bit(2), bit(0) && !bit(3))})
	}
	return list, nil
}

// featureState is as "ethtool -k" writes it.
func featureState(active, changeable bool) string {
	state := "off"
	if active {
		state = "on"
	}
	if !changeable {
		state += " [fixed]"
	}
	return state
}

// ethtool has the kernel answer in buf, whose first word becomes the command.
func ethtool(fd int, link string, cmd uint32, buf []byte) error {
	binary.NativeEndian.PutUint32(buf, cmd)
	ifr, err := unix.NewIfreq(link)
	if err != nil {
		return err
	}
	req := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(unsafe.SliceData(buf))}
	copy(req.name[:], ifr.Name())
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return errno
	}
	return nil
}

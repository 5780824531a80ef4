package talosapi

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"
)

// What these answer is the kernel's word for the namespaces that the API runs
// in. Memory and load are the host's, for its nodes share them.

// Memory returns what /proc/meminfo says, in KiB.
func (s *machineService) Memory(context.Context, *emptypb.Empty) (*machine.MemoryResponse, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	return &machine.MemoryResponse{Messages: []*machine.Memory{{Meminfo: parseMeminfo(string(data))}}}, nil
}

// parseMeminfo fills each field from the line of its name: Active(anon) is
// activeanon, HugePages_Total hugepagestotal.
func parseMeminfo(text string) *machine.MemInfo {
	info := &machine.MemInfo{}
	fields := map[string]protoreflect.FieldDescriptor{}
	list := info.ProtoReflect().Descriptor().Fields()
	for i := range list.Len() {
		fields[strings.ToLower(string(list.Get(i).Name()))] = list.Get(i)
	}
	plain := strings.NewReplacer("(", "", ")", "", "_", "")
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		field := fields[strings.ToLower(plain.Replace(name))]
		if field == nil || len(words) == 0 {
			continue
		}
		if n, err := strconv.ParseUint(words[0], 10, 64); err == nil {
			info.ProtoReflect().Set(field, protoreflect.ValueOfUint64(n))
		}
	}
	return info
}

// LoadAvg returns what /proc/loadavg says.
func (s *machineService) LoadAvg(context.Context, *emptypb.Empty) (*machine.LoadAvgResponse, error) {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil, err
	}
	var load [3]float64
	for i, word := range strings.Fields(string(data)) {
		if i == len(load) {
			break
		}
		if load[i], err = strconv.ParseFloat(word, 64); err != nil {
			return nil, err
		}
	}
	return &machine.LoadAvgResponse{Messages: []*machine.LoadAvg{{Load1: load[0], Load5: load[1], Load15: load[2]}}}, nil
}

// NetworkDeviceStats returns the counters of the node's links.
func (s *machineService) NetworkDeviceStats(context.Context, *emptypb.Empty) (*machine.NetworkDeviceStatsResponse, error) {
	data, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return nil, err
	}
	devices, total := parseNetDev(string(data))
	return &machine.NetworkDeviceStatsResponse{Messages: []*machine.NetworkDeviceStats{{Devices: devices, Total: total}}}, nil
}

// parseNetDev reads /proc/net/dev: two lines of heads, then a link a line.
func parseNetDev(text string) (devices []*machine.NetDev, total *machine.NetDev) {
	total = &machine.NetDev{}
	columns := func(d *machine.NetDev) []*uint64 {
		return []*uint64{
			&d.RxBytes, &d.RxPackets, &d.RxErrors, &d.RxDropped, &d.RxFifo, &d.RxFrame, &d.RxCompressed, &d.RxMulticast,
			&d.TxBytes, &d.TxPackets, &d.TxErrors, &d.TxDropped, &d.TxFifo, &d.TxCollisions, &d.TxCarrier, &d.TxCompressed,
		}
	}
	var names []string
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(line, ":")
		words := strings.Fields(rest)
		device := &machine.NetDev{Name: strings.TrimSpace(name)}
		into, sums := columns(device), columns(total)
		if !found || len(words) < len(into) {
			continue // a line of heads
		}
		for i := range into {
			*into[i], _ = strconv.ParseUint(words[i], 10, 64) // the kernel writes numbers
			*sums[i] += *into[i]
		}
		devices, names = append(devices, device), append(names, device.Name)
	}
	slices.Sort(names)
	total.Name = strings.Join(names, ", ")
	return devices, total
}

// Read streams a file. The node has no file system of its own: of /proc it
// gives out what is the node's, with the node's own boot ID, and no other file
// is there.
func (s *machineService) Read(req *machine.ReadRequest, stream grpc.ServerStreamingServer[common.Data]) error {
	data, err := s.readFile(filepath.Clean(req.GetPath()))
	if errors.Is(err, fs.ErrNotExist) {
		return status.Error(codes.NotFound, (&fs.PathError{Op: "stat", Path: req.GetPath(), Err: syscall.ENOENT}).Error())
	}
	if err != nil {
		return err
	}
	return sendFile(bytes.NewReader(data), stream)
}

func (s *machineService) readFile(path string) ([]byte, error) {
	switch rest, inProc := strings.CutPrefix(path, "/proc/"); {
	case path == bootIDPath:
		return []byte(s.cfg.BootID + "\n"), nil
	case path == "/etc/hostname":
		name, err := s.cfg.Hostname()
		return []byte(name + "\n"), err
	case !inProc || !ownInProc(rest):
		return nil, fs.ErrNotExist
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("path must be a regular file")
	}
	return os.ReadFile(path)
}

// ownInProc reports whether a name below /proc is the node's to give out. The
// directories of processes are not: they lead to files of the host.
func ownInProc(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	switch top {
	case "cpuinfo", "loadavg", "meminfo", "net", "stat", "sys", "uptime", "version":
		return true
	}
	return false
}

package talosapi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Netstat returns the node's sockets. The node has no network namespace
// besides its own, Talos's "host network".
func (s *machineService) Netstat(_ context.Context, req *machine.NetstatRequest) (*machine.NetstatResponse, error) {
	if _, known := machine.NetstatRequest_Filter_name[int32(req.GetFilter())]; !known {
		return nil, status.Errorf(codes.InvalidArgument, "invalid filter: %v", req.GetFilter())
	}
	reply := &machine.Netstat{}
	if req.GetNetns().GetHostnetwork() || req.GetNetns().GetAllnetns() {
		var err error
		if reply.Connectrecord, err = sockets(req); err != nil {
			return nil, err
		}
	}
	return &machine.NetstatResponse{Messages: []*machine.Netstat{reply}}, nil
}

func sockets(req *machine.NetstatRequest) ([]*machine.ConnectRecord, error) {
	want := req.GetL4Proto()
	var all []*machine.ConnectRecord
	for _, table := range []struct {
		name   string
		wanted bool
	}{
		{"tcp", want.GetTcp()}, {"tcp6", want.GetTcp6()}, {"udp", want.GetUdp()}, {"udp6", want.GetUdp6()},
		{"udplite", want.GetUdplite()}, {"udplite6", want.GetUdplite6()}, {"raw", want.GetRaw()}, {"raw6", want.GetRaw6()},
	} {
		if !table.wanted {
			continue
		}
		data, err := os.ReadFile("/proc/net/" + table.name)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without that protocol
		}
		if err != nil {
			return nil, err
		}
		records, err := parseSockets(table.name, string(data))
		if err != nil {
			return nil, fmt.Errorf("/proc/net/%s: %w", table.name, err)
		}
		for _, r := range records {
			if passes(req.GetFilter(), r) {
				all = append(all, r)
			}
		}
	}
	if req.GetFeature().GetPid() {
		nameOwners(all)
	}
	return all, nil
}

// passes applies the filter: what listens has no far end.
func passes(filter machine.NetstatRequest_Filter, r *machine.ConnectRecord) bool {
	nobody := net.ParseIP(r.GetRemoteip()).IsUnspecified()
	switch filter {
	case machine.NetstatRequest_LISTENING:
		return nobody && r.GetRemoteport() == 0
	case machine.NetstatRequest_CONNECTED:
		return !nobody && r.GetRemoteport() != 0
	}
	return true
}

// parseSockets reads a table of /proc/net: a line of heads, then a socket a
// line (proc_pid_net(5)).
func parseSockets(proto, text string) ([]*machine.ConnectRecord, error) {
	var records []*machine.ConnectRecord
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if i == 0 {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 12 {
			return nil, fmt.Errorf("%d fields in %q", len(words), line)
		}
		r, err := parseSocket(words)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		r.L4Proto = proto
		records = append(records, r)
	}
	return records, nil
}

func parseSocket(words []string) (*machine.ConnectRecord, error) {
	n := numbers{}
	r := &machine.ConnectRecord{Process: &machine.ConnectRecord_Process{}}
	r.Localip, r.Localport = n.endpoint(words[1])
	r.Remoteip, r.Remoteport = n.endpoint(words[2])
	r.State = machine.ConnectRecord_State(n.parse(words[3], 16))
	sent, received, _ := strings.Cut(words[4], ":")
	r.Txqueue, r.Rxqueue = n.parse(sent, 16), n.parse(received, 16)
	timer, when, _ := strings.Cut(words[5], ":")
	r.Tr, r.Timerwhen = machine.ConnectRecord_TimerActive(n.parse(timer, 16)), n.parse(when, 16)
	r.Retrnsmt = n.parse(words[6], 16)
	r.Uid = uint32(n.parse(words[7], 10))
	r.Timeout = n.parse(words[8], 10)
	r.Inode = n.parse(words[9], 10)
	r.Ref, r.Pointer = n.parse(words[10], 10), n.parse(words[11], 16)
	return r, n.err
}

// numbers remembers the first error of many conversions.
type numbers struct{ err error }

func (n *numbers) parse(s string, radix int) uint64 {
	v, err := strconv.ParseUint(s, radix, 64)
	if err != nil && n.err == nil {
		n.err = err
	}
	return v
}

// endpoint reads "0200050A:C350": the address in words of 32 bits, each in the
// machine's byte order, and the port.
func (n *numbers) endpoint(s string) (ip string, port uint32) {
	host, p, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if err == nil && len(raw) != net.IPv4len && len(raw) != net.IPv6len {
		err = fmt.Errorf("%d bytes of address", len(raw))
	}
	if err != nil {
		if n.err == nil {
			n.err = err
		}
		return "", 0
	}
	for w := raw; len(w) > 0; w = w[4:] {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	return net.IP(raw).String(), uint32(n.parse(p, 16))
}

// nameOwners finds out which of the node's processes has each socket.
func nameOwners(records []*machine.ConnectRecord) {
	byInode := map[string]*machine.ConnectRecord{}
	for _, r := range records {
		if r.GetInode() != 0 {
			byInode[fmt.Sprintf("socket:[%d]", r.GetInode())] = r
		}
	}
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, file := range files {
		target, _ := os.Readlink(file) // it may be closed by now
		r := byInode[target]
		if r == nil {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		if p, err := readProcess(dir); err == nil {
			r.Process = &machine.ConnectRecord_Process{Pid: uint32(p.GetPid()), Name: p.GetCommand()}
		}
	}
}

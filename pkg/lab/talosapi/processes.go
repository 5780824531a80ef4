package talosapi

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/process"
)

// clockTick is what /proc counts processor time in, on every Linux that Go
// runs on: hundredths of a second.
const clockTick = 100

// Processes returns the processes of the node.
func (s *machineService) Processes(context.Context, *emptypb.Empty) (*machine.ProcessesResponse, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	reply := &machine.Process{}
	for _, dir := range dirs {
		if info, err := readProcess(dir); err == nil { // else it has ended meanwhile
			reply.Processes = append(reply.Processes, info)
		}
	}
	return &machine.ProcessesResponse{Messages: []*machine.Process{reply}}, nil
}

func readProcess(dir string) (*machine.ProcessInfo, error) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return nil, err
	}
	info, err := parseStat(string(stat))
	if err != nil {
		return nil, err
	}
	info.Executable, _ = os.Readlink(filepath.Join(dir, "exe"))
	args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	words := strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")
	info.Args = strings.Join(words, " ")
	if name := roleName(words); name != "" {
		info.Command = name
	}
	return info, err
}

// roleName returns what Talos calls a process of the lab's, all of which the
// kernel calls "exe", or "".
func roleName(args []string) string {
	if len(args) < 3 || args[1] != process.Command {
		return ""
	}
	switch args[2] {
	case process.Machine:
		return "init"
	case process.Etcd:
		return "etcd"
	case process.APIServer:
		return "kube-apiserver"
	}
	return ""
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)), whose second field, the
// command in parentheses, may itself hold spaces and parentheses.
func parseStat(text string) (*machine.ProcessInfo, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return nil, fmt.Errorf("no command in %q", text)
	}
	after := strings.Fields(text[end+1:]) // from the third field on
	if len(after) < 22 {
		return nil, fmt.Errorf("%d fields after the command in %q", len(after), text)
	}
	var bad error
	number := func(s string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			bad = err
		}
		return n
	}
	info := &machine.ProcessInfo{
		Pid: int32(number(text[:open])), Command: text[open+1 : end], State: after[0], Ppid: int32(number(after[1])),
		CpuTime:        float64(number(after[11])+number(after[12])) / clockTick,
		Threads:        int32(number(after[17])),
		VirtualMemory:  uint64(number(after[20])),
		ResidentMemory: uint64(number(after[21])) * uint64(os.Getpagesize()),
	}
	return info, bad
}

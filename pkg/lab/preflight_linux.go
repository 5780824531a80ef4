package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// needUser says whether the lab needs a user namespace: whoever lacks
// CAP_SYS_ADMIN gets it in one of his own.
func needUser() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return os.Geteuid() != 0
	}
	return os.Geteuid() != 0 || !capable(string(status), unix.CAP_SYS_ADMIN) || !capable(string(status), unix.CAP_NET_ADMIN)
}

// capable reads the effective capabilities (CapEff) of proc_pid_status(5).
func capable(status string, capability uint) bool {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && set&(1<<capability) != 0
		}
	}
	return false
}

// sysctl returns a kernel setting, or "" where there is none.
func sysctl(name string) string {
	b, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// explain adds to an error of making namespaces, or of using them, what this
// machine lacks and how to get it.
func explain(err error, sysctl func(string) string) error {
	if os.Geteuid() != 0 || needUser() {
		switch {
		case sysctl("user/max_user_namespaces") == "0":
			return withHint(fmt.Errorf("user namespaces are switched off (user.max_user_namespaces is 0): %w", err),
				"run as root, or `sudo sysctl -w user.max_user_namespaces=15000`")
		case sysctl("kernel/unprivileged_userns_clone") == "0":
			return withHint(fmt.Errorf("unprivileged user namespaces are switched off (kernel.unprivileged_userns_clone is 0): %w", err),
				"run as root, or `sudo sysctl -w kernel.unprivileged_userns_clone=1`")
		case sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
			return withHint(fmt.Errorf("AppArmor restricts unprivileged user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1): %w", err),
				"run as root, or `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`")
		}
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		return withHint(err, "the limit of namespaces is reached: raise the values in /proc/sys/user/max_*_namespaces, or end what holds them")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return withHint(err, "the lab needs root with CAP_SYS_ADMIN, or unprivileged user namespaces; in a container start it with `--privileged`")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return withHint(err, "the kernel lacks a kind of namespace: the lab needs CONFIG_USER_NS, PID_NS, NET_NS, UTS_NS, IPC_NS, VETH and PACKET")
	default:
		return err
	}
}

// killSupervisor kills the process that listens to the lab's socket.
func killSupervisor(name string) error {
	pid, err := supervisorPID(name)
	if err != nil {
		return err
	}
	return unix.Kill(pid, unix.SIGKILL)
}

// supervisorPID looks for the process that holds the lab's socket, whose
// credentials are of no use for that: they are those of who made it.
func supervisorPID(name string) (int, error) {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) == 8 && f[7] == socketPrefix()+name && f[3] == "00010000" {
			return holderOf("socket:[" + f[6] + "]")
		}
	}
	return 0, fmt.Errorf("no process listens for the lab %s", name)
}

func holderOf(socket string) (int, error) {
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, err
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == socket {
			return strconv.Atoi(strings.Split(fd, "/")[2])
		}
	}
	return 0, fmt.Errorf("no process of this user holds %s", socket)
}

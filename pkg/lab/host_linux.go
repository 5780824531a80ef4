package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoints are directories that a Linux machine has and that a command on
// the workstation hardly misses: the lab's files lie on a tmpfs over the first
// that will do. Nobody outside the lab sees it.
var mountPoints = []string{"/media", "/mnt", "/srv", "/run", "/dev/shm"}

// prepareHost makes the supervisor's namespaces usable: mounts that do not
// spread, a /proc that shows the lab's processes, and a directory for the
// lab's files, which it returns.
func prepareHost(avoid ...string) (dir string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", explain(fmt.Errorf("making the lab's mounts private: %w", err), sysctl)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return "", refusedProc(fmt.Errorf("mounting /proc: %w", err))
	}
	if dir, err = pickMountPoint(avoid); err != nil {
		return "", err
	}
	if err := unix.Mount("vipctl-lab", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return "", explain(fmt.Errorf("mounting a tmpfs over %s: %w", dir, err), sysctl)
	}
	if err := unix.Sethostname([]byte("workstation")); err != nil {
		return "", fmt.Errorf("naming the workstation: %w", err)
	}
	return dir, nil
}

// refusedProc explains the kernel's refusal to mount a new /proc where the
// present one is partly covered, as container runtimes do.
func refusedProc(err error) error {
	if errors.Is(err, unix.EPERM) {
		return withHint(err, "in a container parts of /proc are covered, and then the kernel allows no other: start it with `--security-opt systempaths=unconfined` or `--privileged`")
	}
	return explain(err, sysctl)
}

// pickMountPoint returns the first existing mount point that hides none of
// the paths to avoid.
func pickMountPoint(avoid []string) (string, error) {
	for _, dir := range mountPoints {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() || hides(dir, avoid) {
			continue
		}
		if resolved, err := filepath.EvalSymlinks(dir); err == nil && resolved == dir {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the lab needs one of the directories %s to mount its files over", strings.Join(mountPoints, ", "))
}

func hides(dir string, paths []string) bool {
	for _, p := range paths {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// installSelf makes this very binary the vipctl of the workstation's PATH, for
// scripts as well. Its file is mounted there, which holds also when the file is
// removed later, as after `go run`.
func installSelf(dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	path := filepath.Join(bin, "vipctl")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("looking for this binary: %w", err)
	}
	if unix.Mount(exe, path, "", unix.MS_BIND, "") == nil {
		return nil
	}
	// Its file is gone already, but the kernel still has it.
	if err := copyFile(path, "/proc/self/exe"); err != nil {
		return fmt.Errorf("putting vipctl on the workstation's PATH: %w", err)
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

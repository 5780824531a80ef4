//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// abandoned asks poll(2), which tells of a pipe without readers POLLERR on Linux,
// and POLLHUP on macOS and the BSDs, there only to who asks whether it can write.
func abandoned(f *os.File) (gone bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Control(func(fd uintptr) {
		out := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		_, err := unix.Poll(out, 0)
		gone = err == nil && out[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return err == nil && gone
}

//go:build linux

package node

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// killEtcd kills etcd at once. Talos starts it again after etcdRestartDelay,
// unless it is held down.
func (f *faults) killEtcd(_ context.Context, args faultArgs) error {
	held, err := args.flag(argHold)
	if err != nil {
		return err
	}
	f.m.etcd.kill(held)
	return nil
}

// reviveEtcd lets a held etcd start, and waits until it runs.
func (f *faults) reviveEtcd(ctx context.Context, _ faultArgs) error {
	f.m.etcd.hold(false)
	return f.m.etcd.await(ctx)
}

// killAPIServer kills the apiserver and keeps it from coming back, or lets the
// kubelet start it again after apiserverRestartDelay.
func (f *faults) killAPIServer(_ context.Context, args faultArgs) error {
	once, err := args.flag(argOnce)
	if err != nil {
		return err
	}
	f.m.apiserver.kill(!once)
	return nil
}

func (f *faults) reviveAPIServer(context.Context, faultArgs) error {
	f.m.apiserver.hold(false)
	return nil
}

// What slow-disk does unless told otherwise: as long as a write to a busy hard
// disk may take, and so short that no election follows.
const (
	slowDiskPause = 200 * time.Millisecond
	slowDiskEvery = time.Second
)

// slowDisk imitates a disk that keeps etcd waiting: etcd stands still, all of
// it, where a real one would answer what it has in memory.
func (f *faults) slowDisk(_ context.Context, args faultArgs) error {
	length, err := args.duration(argPause, slowDiskPause)
	if err != nil {
		return err
	}
	every, err := args.duration(argEvery, slowDiskEvery)
	if err != nil {
		return err
	}
	if length >= every {
		return fmt.Errorf("a pause of %v every %v leaves etcd no time to run", length, every)
	}
	f.keep("slow-disk", func(ctx context.Context) { stall(ctx, f.m.etcd, length, every) })
	return nil
}

// hangEvery is how often an apiserver that hangs is stopped again: a thaw of
// the machine lets every process go on.
const hangEvery = 500 * time.Millisecond

// hangAPIServer stops the apiserver: the kernel still takes connections for it.
func (f *faults) hangAPIServer(context.Context, faultArgs) error {
	_ = f.m.apiserver.signal(syscall.SIGSTOP) // one that does not run hangs when it does
	f.keep("apiserver-hang", func(ctx context.Context) { stall(ctx, f.m.apiserver, hangEvery, hangEvery) })
	return nil
}

// stall stops the process for a time, again and again, until the context ends;
// then it goes on. A process that does not run now may run the next time.
func stall(ctx context.Context, u *unit, length, every time.Duration) {
	defer func() { _ = u.signal(syscall.SIGCONT) }()
	for {
		_ = u.signal(syscall.SIGSTOP)
		if !pause(ctx, length) {
			return
		}
		if length == every {
			continue
		}
		_ = u.signal(syscall.SIGCONT)
		if !pause(ctx, every-length) {
			return
		}
	}
}

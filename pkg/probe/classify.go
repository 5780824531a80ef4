package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/vipctl/vipctl/pkg/outage"
)

// classify says what an error of a connection means for the sample.
func classify(err error) outage.Result {
	var timeout net.Error
	switch {
	case err == nil:
		return outage.OK
	case isOurs(err):
		return 0
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return outage.Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return outage.Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		return outage.Unreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return outage.Reset
	case errors.As(err, &timeout) && timeout.Timeout():
		return outage.Timeout
	default:
		return outage.Failed
	}
}

// isOurs says that this machine ran out of something, so that the service was
// not asked: file descriptors, ports, memory.
func isOurs(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM,
	}, func(target error) bool { return errors.Is(err, target) })
}

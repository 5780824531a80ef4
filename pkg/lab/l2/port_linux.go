package l2

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// maxFrame is larger than any frame of a link whose receive offload is off.
const maxFrame = 1 << 16

// Port is one end of a cable in a Switch.
type Port struct {
	name  string
	link  string
	sw    *Switch
	cable *cable
	conn  *packet.Conn
	raw   syscall.RawConn
	cut   bool   // guarded by sw.mu
	epoch uint64 // guarded by sw.mu; counts the times that the port went silent
	done  chan struct{}
}

// listen opens a packet socket for every frame that the link receives.
func listen(link string) (*packet.Conn, error) {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", link, err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
	if err != nil {
		return nil, err
	}
	if err := prepare(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// prepare keeps the socket from hearing what it sends itself, and lets it hear
// what is meant for others.
func prepare(conn *packet.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	if err := raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}); err != nil {
		return err
	}
	if opt != nil {
		return fmt.Errorf("PACKET_IGNORE_OUTGOING (Linux 4.20 and later): %w", opt)
	}
	return conn.SetPromiscuous(true)
}

// Name is the name under which the port was attached.
func (p *Port) Name() string { return p.name }

// Cut makes the port silent in both directions. When it returns, no frame is
// on its way to or from the port.
func (p *Port) Cut() { p.setCut(true) }

// Restore lets frames pass again after Cut.
func (p *Port) Restore() { p.setCut(false) }

func (p *Port) setCut(cut bool) {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	p.cut = cut
	if cut {
		p.epoch++ // for the frames that are late
	}
}

// Close takes the port from its switch and waits until it has stopped.
func (p *Port) Close() error {
	err := p.conn.Close()
	<-p.done
	return err
}

// receive reads frames until the socket is closed or the link is gone.
func (p *Port) receive() {
	defer close(p.done)
	defer p.sw.detach(p)
	buf := make([]byte, maxFrame)
	for {
		n, err := p.read(buf)
		switch {
		case err == nil:
			p.sw.forward(p, buf[:n])
		case errors.Is(err, unix.ENETDOWN):
			// The link is down for now; it may come up again.
		default:
			return
		}
	}
}

func (p *Port) read(buf []byte) (n int, err error) {
	wait := p.raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), buf)
		return err != unix.EAGAIN && err != unix.EINTR
	})
	return max(n, 0), cmp.Or(err, wait)
}

// send writes a frame and never waits: like any switch, this one drops what a
// port cannot take.
func (p *Port) send(frame []byte) {
	_ = p.raw.Write(func(fd uintptr) bool {
		_, _ = unix.Write(int(fd), frame)
		return true
	})
}

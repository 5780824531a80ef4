package talosapi

import (
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// garbage is neither a TLS record (no record has type 0xde) nor an HTTP/2
// frame of a length that anybody takes.
var garbage = []byte(strings.Repeat("\xde\xad\xbe\xef", 64))

// babble answers whatever the connection brings with garbage, until it is
// closed.
func babble(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for heard := make([]byte, 4096); ; {
		if _, err := conn.Read(heard); err != nil {
			return
		}
		if _, err := conn.Write(garbage); err != nil {
			return
		}
	}
}

// dripEvery is the time between two bytes of a dripping API: a handshake of
// about 1000 bytes takes minutes.
const dripEvery = 250 * time.Millisecond

// drip lets connections send a byte every dripEvery while it is set. Its zero
// value holds nothing up.
type drip struct{ latch }

// conn returns the connection under d.
func (d *drip) conn(c net.Conn) net.Conn { return &dripConn{heldConn: newHeldConn(c), drip: d} }

type dripConn struct {
	heldConn
	drip *drip
}

// Write sends byte by byte while it drips, and the rest at once when it does
// no more.
func (c *dripConn) Write(p []byte) (int, error) {
	for sent := 0; sent < len(p); {
		flows := c.drip.opened()
		if flows == nil {
			n, err := c.Conn.Write(p[sent:])
			return sent + n, err
		}
		select {
		case <-flows:
			continue
		case <-c.closed:
			return sent, net.ErrClosed
		case <-time.After(dripEvery):
		}
		n, err := c.Conn.Write(p[sent : sent+1])
		if sent += n; err != nil {
			return sent, err
		}
	}
	return len(p), nil
}

// hugeBy is how much longer an oversize answer is than it should be, hugePage
// how much of that is in memory.
const (
	hugeBy   = 40 << 20
	hugePage = 64 << 10
)

// hugeField is a field that no message of Talos or COSI has: who decodes one
// with it keeps or drops it, as protobuf has it.
const hugeField protowire.Number = 1 << 20

// hugeCodec makes every message that it encodes hugeBy bytes longer while on
// says so. The bytes are the same page again and again, and so cost nothing.
type hugeCodec struct {
	encoding.CodecV2
	on   *atomic.Bool
	page []byte // zeros, never written
}

// Marshal encodes the message.
func (c *hugeCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.CodecV2.Marshal(v)
	if err != nil || !c.on.Load() {
		return data, err
	}
	head := protowire.AppendTag(nil, hugeField, protowire.BytesType)
	data = append(data, mem.SliceBuffer(protowire.AppendVarint(head, hugeBy)))
	for range hugeBy / hugePage {
		data = append(data, mem.SliceBuffer(c.page))
	}
	return data, nil
}

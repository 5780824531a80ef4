//go:build linux

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// control is the machine's end of the socket to the supervisor.
type control struct {
	conn net.Conn
	in   *json.Decoder
	out  *json.Encoder
}

func newControl(f *os.File) (*control, error) {
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &control{conn: conn, in: json.NewDecoder(conn), out: json.NewEncoder(conn)}, nil
}

// awaitLink answers the first order, which must be that the link is ready,
// with what setup says.
func (c *control) awaitLink(setup func() error) error {
	var o Order
	if err := c.in.Decode(&o); err != nil {
		return fmt.Errorf("wait for the link: %w", err)
	}
	err := setup()
	if !o.LinkReady {
		err = errors.New("the first order must be that the link is ready")
	}
	return errors.Join(err, c.reply(o, err))
}

// serve obeys orders, one after the other, until the supervisor is gone.
func (c *control) serve(obey func(Order) error) error {
	for {
		var o Order
		if err := c.in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the supervisor is gone")
			}
			return fmt.Errorf("read an order: %w", err)
		}
		if err := c.reply(o, obey(o)); err != nil {
			return err
		}
	}
}

func (c *control) reply(o Order, err error) error {
	r := Reply{ID: o.ID}
	if err != nil {
		r.Error = err.Error()
	}
	if err := c.out.Encode(r); err != nil {
		return fmt.Errorf("answer an order: %w", err)
	}
	return nil
}

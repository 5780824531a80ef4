package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/node"
)

// orders is the supervisor's end of the socket to a machine.
type orders struct {
	socket net.Conn

	mu      sync.Mutex // guards following
	next    int
	waiting map[int]chan node.Reply
	closed  bool
}

// newOrders returns the supervisor's end and, as a file, the machine's.
func newOrders() (*orders, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the socket to a machine: %w", err)
	}
	far, near := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	socket, err := net.FileConn(near)
	_ = near.Close()
	if err != nil {
		_ = far.Close()
		return nil, nil, fmt.Errorf("making the socket to a machine: %w", err)
	}
	o := &orders{socket: socket, waiting: make(map[int]chan node.Reply)}
	go o.read()
	return o, far, nil
}

var errMachineGone = errors.New("the machine is gone")

// give sends an order and waits for its reply.
func (o *orders) give(ctx context.Context, order node.Order) error {
	reply := make(chan node.Reply, 1)
	id, err := o.send(order, reply)
	if err != nil {
		return err
	}
	defer o.forget(id)
	select {
	case r, ok := <-reply:
		switch {
		case !ok:
			return errMachineGone
		case r.Error != "":
			return errors.New(r.Error)
		default:
			return nil
		}
	case <-ctx.Done():
		return fmt.Errorf("the machine does not answer: %w", ctx.Err())
	}
}

// send writes the order and returns its ID.
func (o *orders) send(order node.Order, reply chan node.Reply) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, errMachineGone
	}
	o.next++
	order.ID = o.next
	line, err := json.Marshal(order)
	if err != nil {
		return 0, err
	}
	o.waiting[order.ID] = reply
	if _, err := o.socket.Write(append(line, '\n')); err != nil {
		delete(o.waiting, order.ID)
		return 0, errMachineGone
	}
	return order.ID, nil
}

// gone says that the machine has hung up.
func (o *orders) gone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// forget stops to wait for the reply of an order.
func (o *orders) forget(id int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.waiting, id)
}

func (o *orders) read() {
	in := json.NewDecoder(o.socket)
	for {
		var r node.Reply
		if in.Decode(&r) != nil {
			break
		}
		o.mu.Lock()
		if w, ok := o.waiting[r.ID]; ok {
			w <- r
			delete(o.waiting, r.ID)
		}
		o.mu.Unlock()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for id, w := range o.waiting {
		close(w)
		delete(o.waiting, id)
	}
}

func (o *orders) close() { _ = o.socket.Close() }

// orderTime is how long a machine may take to answer an order.
const orderTime = 10 * time.Second

// order gives an order to the machine, which must be on. One that boots is
// waited for, also where it goes down over the order to boot again.
func (m *machine) order(ctx context.Context, o node.Order) error {
	ctx, cancel := context.WithTimeout(ctx, m.bootTime+orderTime)
	defer cancel()
	for {
		run, err := m.awaitOn(ctx)
		if err != nil {
			return err
		}
		answer, stop := context.WithTimeout(ctx, orderTime)
		err = run.orders.give(answer, o)
		stop()
		if !errors.Is(err, errMachineGone) {
			return err
		}
	}
}

// awaitOn returns the machine's present life, or waits for its next one unless
// its power is gone.
func (m *machine) awaitOn(ctx context.Context) (*boot, error) {
	for {
		m.mu.Lock()
		run, power, frozen := m.run, m.power, m.run != nil && m.run.frozen
		m.mu.Unlock()
		switch {
		case frozen: // it would obey once it thaws, when nobody expects it
			return nil, withHint(fmt.Errorf("%s is frozen", m.place.Name), "`vipctl lab fault undo freeze %s` thaws it", m.place.Name)
		case run != nil && !run.orders.gone():
			return run, nil
		case power == PowerOff:
			return nil, m.errOff()
		case !sleep(ctx, 10*time.Millisecond):
			return nil, fmt.Errorf("%s does not come on: %w", m.place.Name, ctx.Err())
		}
	}
}

// errOff refuses what only a machine that is on can do.
func (m *machine) errOff() error {
	return withHint(fmt.Errorf("%s is off", m.place.Name),
		"`vipctl lab power on %s` switches it on; `vipctl lab status` shows when it is", m.place.Name)
}

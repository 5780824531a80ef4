package lab

import (
	"context"
	"fmt"

	"github.com/vipctl/vipctl/pkg/lab/l2"
	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/node"
)

// cable names this end of the cable of a machine's i-th link.
func cable(main string, i int) string {
	if i == 0 {
		return main
	}
	return fmt.Sprintf("%s.%d", main, i)
}

// connect ties the running machine's i-th link to its segment.
func (m *machine) connect(run *boot, link string, i int) (*l2.Port, error) {
	l := m.place.Links[i]
	err := netns.Plug(netns.Cable{Name: cable(link, i), PeerPID: run.cmd.Process.Pid, Peer: l.Name, PeerMAC: m.mac})
	if err != nil {
		return nil, err
	}
	return m.site.segments[l.Segment].Attach(m.place.Name, cable(link, i))
}

// plug ties the running machine to the switches and tells it so.
func (m *machine) plug(ctx context.Context, run *boot, link string) (err error) {
	if run.port, err = m.connect(run, link, 0); err != nil {
		return err
	}
	for i := 1; i < len(m.place.Links); i++ {
		port, err := m.connect(run, link, i)
		if err != nil {
			return err
		}
		run.more = append(run.more, port)
	}
	m.mu.Lock()
	m.power, m.run = PowerOn, run
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	return run.orders.give(ctx, node.Order{LinkReady: true})
}

package talos

import (
	"context"
	"net/netip"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// visit is one target and what came of asking it. Only the survey's own
// goroutine reads and writes it.
type visit struct {
	target target
	// at is the address that it stands for. It is the zero value where the node
	// was named otherwise to a proxy, until it answers.
	at     netip.Addr
	origin origin
	// hostname is what the other nodes call it, "" where none does.
	hostname string
	// named says that another node counts it among the control-plane nodes.
	named bool
	// learned says that it is asked only because another node named it.
	learned bool

	direct  *attempt
	relayed *attempt // nil where it was not needed
	late    bool     // the direct answer is long in coming
	// reply is that of the attempt that counts, as far as it came; nil where
	// there is none. via is the endpoint that it was read through, "" where it
	// was dialled.
	reply *reply
	via   string
}

func (v *visit) ok() bool { return v.reply != nil && v.reply.node.Reachable.Known() }

// weigh chooses the attempt that counts: the direct one, unless only the
// relayed one tells of addresses.
func (v *visit) weigh() {
	d, r := v.direct, v.relayed
	switch {
	case d.ok() && (d.reply.node.Addresses.Known() || !r.ok() || !r.reply.node.Addresses.Known()):
		v.reply, v.via = &d.reply, ""
	case r.ok():
		v.reply, v.via = &r.reply, r.via
	case d.done:
		v.reply, v.via = &d.reply, ""
	}
}

// survey finds the control-plane nodes and asks them, all at once: endpoints
// and the talosconfig's nodes first, and as soon as one of them answers, the
// members that it names. One deadline holds for all, so that no number of nodes
// that hang makes it longer.
//
// Everything that waits is a goroutine; what comes of it is taken in by run's.
type survey struct {
	client *Client
	ctx    context.Context // its deadline is that of the survey
	opts   CollectOptions
	list   []question

	endpoints []endpoint
	visits    []*visit // in the order asked
	events    chan func()
	over      chan struct{} // closed when run ends
	pending   int
	relay     *visit // the first endpoint that answered: it can forward

	lead      *attempt // whom the shared questions are put to first
	trusting  bool     // they are put to nobody while discovery is unanimous
	impatient bool     // they are put to everybody
	hasty     bool     // their answers, and discovery's, are waited for no longer
	// toldVIPs and toldNodes were announced; an address may turn out to be a VIP
	// after it was taken for a node's.
	toldVIPs, toldNodes map[netip.Addr]bool

	credentials gathering
}

// sharedPatience is how long one node may take for the shared questions before
// the others are asked as well.
const sharedPatience = 300 * time.Millisecond

func newSurvey(ctx context.Context, c *Client, opts CollectOptions) *survey {
	return &survey{
		client: c, ctx: ctx, opts: opts, list: questions(opts.Facts, min(slowLimit, c.cfg.Timeout/2)),
		events: make(chan func()), over: make(chan struct{}), toldVIPs: map[netip.Addr]bool{}, toldNodes: map[netip.Addr]bool{},
		trusting: opts.Facts == Addresses, impatient: opts.Facts&details != 0,
	}
}

// run asks the seeds, and whomever they name, until all have answered or the
// time is up.
func (s *survey) run() {
	defer close(s.over)
	s.announce(s.vips())
	s.seed()
	for s.pending > 0 {
		(<-s.events)()
	}
	s.missCredentials()
	for _, v := range s.visits {
		v.direct.end(nil)
		if v.relayed != nil {
			v.relayed.end(nil)
		}
	}
}

// work does something that waits, and then what it returns in run's goroutine.
func (s *survey) work(do func() (then func())) {
	s.pending++
	go func() {
		then := do()
		s.events <- func() {
			s.pending--
			then()
		}
	}()
}

// after does something later, unless the survey is over by then.
func (s *survey) after(d time.Duration, do func()) {
	time.AfterFunc(d, func() {
		select {
		case s.events <- do:
		case <-s.over:
		}
	})
}

// start begins a visit.
func (s *survey) start(v *visit) {
	s.visits = append(s.visits, v)
	v.direct = s.attempt(v.target, "")
	s.connect(v, v.direct)
	s.after(s.client.cfg.Timeout/3, func() {
		v.late = true
		s.settle(v)
	})
}

// settle decides what to do for a visit without an answer: after a third of the
// time, or where its direct way failed, it is asked through the relay as well.
// The direct way is given up once the relay told everything, or failed too and
// half of the time is over.
func (s *survey) settle(v *visit) {
	v.weigh()
	r := v.relayed
	if v.direct.ok() || s.client.cfg.forwarded {
		if r != nil && v.direct.done {
			r.end(errGivenUp)
		}
		return
	}
	switch {
	case r == nil && s.relay != nil && (v.direct.done || v.late) && s.ctx.Err() == nil:
		v.relayed = s.attempt(s.through(v), s.relay.at.String())
		s.connect(v, v.relayed)
	case r == nil || !r.done || v.direct.done:
	case r.ok():
		v.direct.end(errGivenUp)
	case !v.direct.connected:
		half := s.client.cfg.Timeout/2 - time.Since(v.direct.begun)
		if half <= 0 {
			if end, ok := s.ctx.Deadline(); ok && time.Until(end) >= 100*time.Millisecond { // else it had all of its time
				v.direct.nor = r.via
			}
			v.direct.end(errGivenUp)
		} else {
			s.after(half, func() { s.settle(v) })
		}
	}
}

// through is how the relay is asked for a node.
func (s *survey) through(v *visit) target {
	t := s.relay.target
	t.node = v.at.String()
	return t
}

// answered takes note that a visit learned something.
func (s *survey) answered(v *visit) {
	v.weigh()
	if s.relay == nil && v.origin == fromEndpoint && v.direct.ok() && v.reply.heard&ofVIPs != 0 && v.reply.node.Type.Value() != "worker" {
		s.relay = v
		for _, w := range s.visits {
			s.settle(w)
		}
	}
}

// again asks a node for its etcd once more.
func (s *survey) again(a *attempt) {
	if s.opts.Again <= 0 || !a.reply.node.Etcd.Known() || a.again {
		return
	}
	a.again = true
	l := a.link
	at := a.reply.etcdAt.Add(s.opts.Again)
	s.work(func() func() {
		var seen cluster.Seen[cluster.EtcdStatus]
		select {
		case <-time.After(time.Until(at)):
			limit, cancel := context.WithTimeout(nodeContext(s.ctx, a.target), min(slowLimit, s.client.cfg.Timeout/2))
			status, err := readEtcd(limit, l.api)
			cancel()
			seen = cluster.See(status, plain(err, a.target, time.Since(at)))
		case <-s.ctx.Done():
			seen = cluster.Missed[cluster.EtcdStatus](errNoTime)
		}
		return func() { a.reply.node.EtcdLater = seen }
	})
}

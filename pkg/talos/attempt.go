package talos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/vipctl/vipctl/pkg/cluster"
)

var (
	// errGivenUp ends an attempt whose node was read otherwise meanwhile, or
	// cannot be read at all.
	errGivenUp = errors.New("given up")
	errNoTime  = errors.New("there was no time left for a second question")
)

// attempt is one way of asking a node: directly, or through a relay. Only the
// survey's own goroutine reads and writes it.
type attempt struct {
	target target
	via    string // the relay, "" for the direct way
	begun  time.Time
	ctx    context.Context // names the node to forward to
	end    context.CancelCauseFunc

	link      *link
	reused    bool // the connection was there before
	connected bool
	open      int // questions under way
	asked     bool
	shared    bool // the shared questions were put, too
	again     bool // etcd is being asked once more
	errs      []error
	reply     reply
	done      bool
	// nor is the relay that told nothing either, for which reason this attempt was given
	// up before its time.
	nor string
}

// ok says whether anything was answered.
func (a *attempt) ok() bool { return a != nil && a.reply.node.Reachable.Known() }

func (s *survey) attempt(t target, via string) *attempt {
	ctx, end := context.WithCancelCause(nodeContext(s.ctx, t))
	return &attempt{target: t, via: via, begun: time.Now(), ctx: ctx, end: end}
}

// nodeContext names the node to forward to, where there is one to name.
func nodeContext(ctx context.Context, t target) context.Context {
	if t.node == "" {
		return ctx
	}
	return talosclient.WithNode(ctx, t.node)
}

// connect makes the connection, and asks as soon as it stands.
func (s *survey) connect(v *visit, a *attempt) {
	s.work(func() func() {
		l, reused, err := s.client.link(a.target)
		if err == nil {
			err = s.client.explained(a.ctx, a.target, l.ready(a.ctx))
		}
		return func() {
			a.link, a.reused = l, reused
			if err != nil {
				a.errs = append(a.errs, err)
				s.finish(v, a)
				return
			}
			a.connected = true
			s.inquire(v, a)
		}
	})
}

// inquire puts all questions at the same time. Those that every node should
// answer alike are put to the first node that can be asked; where it does not
// answer them soon, or is in doubt, to all.
func (s *survey) inquire(v *visit, a *attempt) {
	a.asked = true
	for _, q := range s.list {
		if !q.shared() {
			s.ask(v, a, q)
		}
	}
	s.askCredentials(a)
	if s.lead == nil {
		s.lead = a
		s.askShared(v, a)
		s.after(cmp.Or(s.opts.patience, sharedPatience), s.losePatience)
	} else if s.impatient {
		s.askShared(v, a)
	}
}

func (s *survey) askShared(v *visit, a *attempt) {
	if s.trusting || a == nil || !a.asked || a.shared || a.done && !a.ok() {
		return
	}
	a.shared = true
	for _, q := range s.list {
		if q.shared() {
			s.ask(v, a, q)
		}
	}
}

// distrust puts the shared questions to the first node after all: discovery
// alone does not vouch for who there is.
func (s *survey) distrust() {
	s.trusting = false
	for _, v := range slices.Clone(s.visits) {
		if v.direct == s.lead || v.relayed == s.lead {
			s.askShared(v, s.lead)
		}
	}
	s.after(cmp.Or(s.opts.patience, sharedPatience), s.losePatience)
}

// losePatience is that the shared questions have had their time.
func (s *survey) losePatience() {
	s.hasty = !s.trusting
	s.askEverybody()
	s.learn()
}

// askEverybody puts the shared questions to those that were spared, unless one
// node has answered them and nothing speaks against it.
func (s *survey) askEverybody() {
	if s.trusting {
		s.distrust()
		return
	}
	if !s.impatient && s.lead.ok() && s.lead.reply.node.Members.Known() && !s.doubtful() {
		return
	}
	s.impatient = true
	for _, v := range slices.Clone(s.visits) {
		s.askShared(v, v.direct)
		s.askShared(v, v.relayed)
	}
}

func (s *survey) ask(v *visit, a *attempt, q question) {
	a.open++
	a.reply.asked |= q.topic
	l, begun := a.link, time.Now()
	s.work(func() func() {
		note, err := q.ask(a.ctx, l.api, a.target)
		return func() {
			a.open--
			a.errs = append(a.errs, err)
			note(&a.reply)
			a.reply.heard |= q.topic
			if answered(err) {
				a.reply.node.Reachable = cluster.Got(true)
				a.reply.granted = a.reply.granted || !denied(err) && q.topic&ofMembers == 0
			}
			if a.reply.etcdAt.IsZero() {
				a.reply.etcdAt = begun
			}
			s.heard(v, a, q, err)
		}
	})
}

// heard goes on after an answer, or the lack of one.
func (s *survey) heard(v *visit, a *attempt, q question, err error) {
	if a.ok() {
		s.answered(v)
		s.again(a)
	}
	if q.topic != 0 && a.ok() {
		s.learn()
		if s.trusting && s.disunited(v) {
			s.distrust()
		}
	}
	if !s.impatient && (q.shared() && err != nil && a == s.lead || q.topic != 0 && s.doubtful()) {
		s.askEverybody()
	}
	if a.open == 0 {
		s.finish(v, a)
	}
}

// finish ends an attempt. A connection that was kept from an earlier call may
// be dead without anyone having noticed; then it begins again over a new one.
func (s *survey) finish(v *visit, a *attempt) {
	if !a.ok() && a.link != nil {
		dead := a.target.node == "" || !a.connected // one node's silence is not the proxy's
		if dead {
			s.client.drop(a.target, a.link)
		}
		if dead && a.reused && a.ctx.Err() == nil {
			a.connected, a.asked, a.shared, a.errs, a.reply = false, false, false, nil, reply{}
			s.connect(v, a)
			return
		}
	}
	a.done = true
	if !a.ok() {
		err := mostTelling(a.errs)
		if errors.Is(context.Cause(a.ctx), errGivenUp) {
			err = fmt.Errorf("given up: %w", context.DeadlineExceeded)
		}
		if err = a.why(err); a.nor != "" {
			err = fmt.Errorf("%w, nor through %s", err, a.nor)
		}
		a.reply.miss(err, s.list)
	}
	s.settle(v)
	if a == s.lead && !a.ok() {
		s.lead = nil
		s.passLead()
	}
}

// why says in a person's words why nothing was answered. What a proxy does is
// not what the node does.
func (a *attempt) why(err error) error {
	text := plain(err, a.target, time.Since(a.begun))
	if !timedOut(err) || a.link == nil || a.target.node != "" {
		return text
	}
	return fmt.Errorf("%w: %s", text, a.link.came.silence(a.connected))
}

// passLead puts the shared questions to another node, where the first fell
// silent over them.
func (s *survey) passLead() {
	for _, v := range s.visits {
		for _, a := range []*attempt{v.direct, v.relayed} {
			if a.ok() {
				s.lead = a
				s.askShared(v, a)
				return
			}
		}
	}
}

package talos

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// Facts say what to ask every node.
type Facts uint

// The sets of facts. Everything includes Ownership.
const (
	// Ownership is what it takes to find the control-plane nodes and the owner
	// of each VIP, and to name them: host name, version, stage, type, addresses,
	// configured VIPs, members.
	Ownership Facts = 1 << iota
	details
	// Everything is all that a cluster.Node holds of the Talos API.
	Everything = Ownership | details
)

// alarmTimeout bounds the question for etcd's alarms, which goes through raft
// and hangs where there is no quorum; every other question is local or fails by
// itself.
const alarmTimeout = 2 * time.Second

// reply is what one node said.
type reply struct {
	node cluster.Node
	// memberID is the node's own etcd member: two addresses with the same one
	// are the same machine.
	memberID cluster.Seen[string]
	// err is why nothing at all was learned, nil where the node answered.
	err error
}

// question is one fact: where it goes, and how it is read. Questions write to
// different fields, so that they may be asked at the same time.
type question struct {
	in   Facts
	ask  func(context.Context, *talosclient.Client, *reply, target) error // returns the raw error
	miss func(*reply, error)
}

func fact[T any](in Facts, field func(*reply) *cluster.Seen[T], read func(context.Context, *talosclient.Client) (T, error)) question {
	return question{
		in: in,
		ask: func(ctx context.Context, api *talosclient.Client, r *reply, t target) error {
			begun := time.Now()
			v, err := read(ctx, api)
			*field(r) = cluster.See(v, plain(err, t, time.Since(begun)))
			return err
		},
		miss: func(r *reply, err error) { *field(r) = cluster.Missed[T](err) },
	}
}

// questions are all there are, a line for each fact.
func questions(facts Facts) []question {
	all := []question{
		fact(Ownership, func(r *reply) *cluster.Seen[string] { return &r.memberID }, readMemberID),
		fact(Ownership, func(r *reply) *cluster.Seen[string] { return &r.node.Hostname }, readHostname),
		fact(Ownership, func(r *reply) *cluster.Seen[string] { return &r.node.Type }, readType),
		fact(Ownership, func(r *reply) *seenAddresses { return &r.node.Addresses }, readAddresses),
		fact(Ownership, func(r *reply) *seenAddrs { return &r.node.VIPs }, readVIPs),
		fact(Ownership, func(r *reply) *seenAddrs { return &r.node.NodeIPs }, readNodeIPs),
		fact(Ownership, func(r *reply) *cluster.Seen[[]cluster.Member] { return &r.node.Members }, readMembers),
		fact(Ownership, func(r *reply) *cluster.Seen[[]cluster.PeerAddress] { return &r.node.Discovery }, readDiscovery),
		fact(Ownership, func(r *reply) *cluster.Seen[cluster.Version] { return &r.node.Version }, readVersion),
		fact(Ownership, func(r *reply) *cluster.Seen[cluster.Stage] { return &r.node.Stage }, readStage),
		fact(details, func(r *reply) *cluster.Seen[time.Time] { return &r.node.BootTime }, readBootTime),
		fact(details, func(r *reply) *cluster.Seen[[]cluster.Link] { return &r.node.Links }, readLinks),
		fact(details, func(r *reply) *cluster.Seen[[]cluster.Service] { return &r.node.Services }, readServices),
		fact(details, func(r *reply) *cluster.Seen[cluster.EtcdStatus] { return &r.node.Etcd }, readEtcd),
		fact(details, func(r *reply) *cluster.Seen[[]cluster.Alarm] { return &r.node.Alarms }, readAlarms),
		fact(details, func(r *reply) *seenAddrs { return &r.node.Advertise }, readAdvertise),
		fact(details, func(r *reply) *cluster.Seen[cluster.APIServerPod] { return &r.node.StaticPod }, readStaticPod),
	}
	return slices.DeleteFunc(all, func(q question) bool { return q.in&facts == 0 })
}

// ask puts every question to t over l at the same time. ctx is for this target:
// it names the node to forward to, and its deadline bounds all answers.
func ask(ctx context.Context, l *link, t target, facts Facts) *reply {
	var (
		r    = &reply{}
		list = questions(facts)
		errs = make([]error, len(list))
		wg   sync.WaitGroup
		at   = time.Now()
	)
	for i, q := range list {
		wg.Go(func() { errs[i] = q.ask(ctx, l.api, r, t) })
	}
	wg.Wait()
	if slices.ContainsFunc(errs, answered) {
		r.node.Reachable = cluster.Got(true)
		return r
	}
	return unreached(mostTelling(errs), t, time.Since(at), facts)
}

// unreached is the reply of a node that gave none: every fact carries the reason.
func unreached(err error, t target, took time.Duration, facts Facts) *reply {
	r := &reply{err: plain(err, t, took)}
	r.node.Reachable = cluster.Missed[bool](r.err)
	for _, q := range questions(facts) {
		q.miss(r, r.err)
	}
	return r
}

// mostTelling prefers the reason for which a connection failed to the calls
// that merely waited for it.
func mostTelling(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return !timedOut(err) })
	return errs[max(i, 0)]
}

// readAlarms asks for etcd's alarms for no longer than alarmTimeout.
func readAlarms(ctx context.Context, api *talosclient.Client) ([]cluster.Alarm, error) {
	ctx, cancel := context.WithTimeout(ctx, alarmTimeout)
	defer cancel()
	resp, err := api.EtcdAlarmList(ctx)
	if err != nil {
		return nil, err
	}
	return alarms(resp), nil
}

var errEmpty = errors.New("the answer is empty")

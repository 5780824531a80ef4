package talos

import (
	"context"
	"errors"
	"slices"
	"time"

	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// Facts say what to ask every node.
type Facts uint

// The sets of facts. Each includes the one before.
const (
	// Addresses is what it takes to find the control-plane nodes and who holds
	// each VIP, and by whose will: host name, addresses, who wants which,
	// configured VIPs, and discovery's members. Asked for these alone, etcd's
	// members are left out where discovery is unanimous, for a node makes a
	// connection to its etcd to answer (v1.13.9 EtcdMemberList): then a node that
	// discovery has lost sight of everywhere is found only as an endpoint.
	Addresses Facts = 1 << iota
	naming
	leading
	details
	// Ownership is Addresses, and what tells more of an owner: type, version,
	// stage, links, who campaigns, and etcd's members. These are the cluster's: one
	// node is asked, and the others only where it does not answer soon, or where
	// what any node knows is at odds with its answer.
	Ownership = Addresses | naming
	// Elections is Ownership, and who leads etcd.
	Elections = Ownership | leading
	// Everything is all that a cluster.Node holds of the Talos API. Every node is
	// asked for all of it, its view of the members included.
	Everything = Elections | details
)

// slowLimit bounds the questions for whose answer a node asks somebody else:
// etcd, whose alarms and members go through raft and hang where there is no
// quorum, or an NTP server.
const slowLimit = 2 * time.Second

// topic is what a fact may tell of the cluster beyond its node: until those are
// in, nobody is learned from the node.
type topic uint

const (
	ofAddresses topic = 1 << iota
	ofNodeIPs
	ofVIPs
	ofMembers
	ofDiscovery
)

// reply is what one node said.
type reply struct {
	node cluster.Node
	// memberID is the node's own etcd member: two addresses with the same one
	// are the same machine.
	memberID cluster.Seen[string]
	// asked are the topics of the questions put, and heard those on which an answer
	// came, whatever it was.
	asked, heard topic
	// granted says that some answer was more than a refusal. The members do not
	// count: os:etcd:backup may list them, and nothing of the node.
	granted bool
	// etcdAt is when the node was asked for its Etcd.
	etcdAt time.Time
	// err is why nothing at all was learned, nil where the node answered.
	err error
}

// question is one fact: where it goes, and how it is read.
type question struct {
	in    Facts
	topic topic
	// ask returns what writes the answer down, and the raw error.
	ask  func(context.Context, *talosclient.Client, target) (note func(*reply), err error)
	miss func(*reply, error)
}

// shared says whether one node's answer is that of the cluster.
func (q question) shared() bool { return q.topic == ofMembers }

func fact[T any](in Facts, topic topic, field func(*reply) *cluster.Seen[T], read func(context.Context, *talosclient.Client) (T, error)) question {
	return question{
		in: in, topic: topic,
		ask: func(ctx context.Context, api *talosclient.Client, t target) (func(*reply), error) {
			begun := time.Now()
			v, err := read(ctx, api)
			seen := cluster.See(v, plain(err, t, time.Since(begun)))
			return func(r *reply) { *field(r) = seen }, err
		},
		miss: func(r *reply, err error) { *field(r) = cluster.Missed[T](err) },
	}
}

// slowFact is a fact that may hang where the node does not.
func slowFact[T any](limit time.Duration, in Facts, topic topic, field func(*reply) *cluster.Seen[T], read func(context.Context, *talosclient.Client) (T, error)) question {
	return fact(in, topic, field, func(ctx context.Context, api *talosclient.Client) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return read(ctx, api)
	})
}

// questions are all there are, a line for each fact. limit is for the
// slow ones.
func questions(facts Facts, limit time.Duration) []question {
	all := []question{
		fact(Addresses, ofVIPs, func(r *reply) *seenAddrs { return &r.node.VIPs }, readVIPs),
		fact(Addresses, ofAddresses, func(r *reply) *seenAddresses { return &r.node.Addresses }, readAddresses),
		fact(Addresses, 0, func(r *reply) *cluster.Seen[[]cluster.Layered] { return &r.node.Layers }, readLayers),
		fact(Addresses, 0, func(r *reply) *cluster.Seen[string] { return &r.node.Hostname }, readHostname),
		fact(Addresses, ofNodeIPs, func(r *reply) *seenAddrs { return &r.node.NodeIPs }, readNodeIPs),
		fact(Addresses, ofDiscovery, func(r *reply) *cluster.Seen[[]cluster.PeerAddress] { return &r.node.Discovery }, readDiscovery),
		slowFact(limit, Addresses, ofMembers, func(r *reply) *cluster.Seen[[]cluster.Member] { return &r.node.Members }, readMembers),
		fact(naming, 0, func(r *reply) *cluster.Seen[string] { return &r.memberID }, readMemberID),
		fact(naming, 0, func(r *reply) *cluster.Seen[string] { return &r.node.Type }, readType),
		fact(naming, 0, func(r *reply) *cluster.Seen[[]cluster.Link] { return &r.node.Links }, readLinks),
		fact(naming, 0, func(r *reply) *cluster.Seen[cluster.Version] { return &r.node.Version }, readVersion),
		fact(naming, 0, func(r *reply) *cluster.Seen[cluster.Stage] { return &r.node.Stage }, readStage),
		fact(naming, 0, func(r *reply) *cluster.Seen[[]string] { return &r.node.Campaigns }, readCampaigns),
		slowFact(limit, leading, 0, func(r *reply) *cluster.Seen[cluster.EtcdStatus] { return &r.node.Etcd }, readEtcd),
		slowFact(limit, details, 0, func(r *reply) *cluster.Seen[[]cluster.Alarm] { return &r.node.Alarms }, readAlarms),
		fact(details, 0, func(r *reply) *cluster.Seen[time.Time] { return &r.node.BootTime }, readBootTime),
		fact(details, 0, func(r *reply) *cluster.Seen[[]cluster.Service] { return &r.node.Services }, readServices),
		fact(details, 0, func(r *reply) *seenAddrs { return &r.node.Advertise }, readAdvertise),
		fact(details, 0, func(r *reply) *cluster.Seen[cluster.APIServerPod] { return &r.node.StaticPod }, readStaticPod),
		slowFact(limit, details, 0, func(r *reply) *cluster.Seen[cluster.Clock] { return &r.node.Clock }, readClock),
	}
	return slices.DeleteFunc(all, func(q question) bool { return q.in&facts == 0 })
}

// miss writes the reason into every fact.
func (r *reply) miss(err error, list []question) {
	r.err = err
	r.node.Reachable = cluster.Missed[bool](err)
	for _, q := range list {
		q.miss(r, err)
	}
}

// mostTelling prefers the reason for which a connection failed to the calls
// that merely waited for it.
func mostTelling(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return !timedOut(err) })
	return errs[max(i, 0)]
}

var errEmpty = errors.New("the answer is empty")

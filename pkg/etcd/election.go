package etcd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// prefix comes before the VIP in the keys of its election
// (constants.EtcdRootTalosKey and vip.go of the VIP operator, Talos v1.13.9).
// After the VIP come a slash and the lease
// (client/v3/concurrency/election.go, etcd v3.6.12).
const prefix = "talos:v1:vip:election:"

// maxCandidates is how long a queue may be. Each node has a key or two in it.
const maxCandidates = 64

// maxName is how long a host name in a key may be, in bytes: Linux takes 64.
const maxName = 255

// reader is all that an election takes of etcd.
type reader interface {
	Range(ctx context.Context, in *pb.RangeRequest, opts ...grpc.CallOption) (*pb.RangeResponse, error)
	LeaseTimeToLive(ctx context.Context, in *pb.LeaseTimeToLiveRequest, opts ...grpc.CallOption) (*pb.LeaseTimeToLiveResponse, error)
}

// readElection reads the queue for the VIP, and then every candidate's lease.
// A lease may end in between; its times are missed then, and the candidate
// stays.
func readElection(ctx context.Context, etcd reader, vip netip.Addr) (cluster.Election, error) {
	// A member that knows of no leader refuses at once, rather than to wait for
	// one (v3rpc/interceptor.go, etcd v3.6.12).
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	from := prefix + vip.String() + "/"
	queue, err := etcd.Range(ctx, &pb.RangeRequest{
		Key: []byte(from), RangeEnd: []byte(prefix + vip.String() + "0"), // '0' comes after '/'
		SortTarget: pb.RangeRequest_CREATE, SortOrder: pb.RangeRequest_ASCEND, Limit: maxCandidates,
	})
	switch {
	case err != nil:
		return cluster.Election{}, err
	case queue.Header == nil:
		return cluster.Election{}, errors.New("its answer has no revision")
	case queue.More || len(queue.Kvs) > maxCandidates:
		return cluster.Election{}, fmt.Errorf("more than %d keys are in the queue", maxCandidates)
	case slices.ContainsFunc(queue.Kvs, func(kv *mvccpb.KeyValue) bool { return kv == nil || !bytes.HasPrefix(kv.Key, []byte(from)) }):
		return cluster.Election{}, errors.New("its answer has a key that was not asked for")
	}
	e := cluster.Election{Revision: queue.Header.Revision, Candidates: make([]cluster.Candidate, len(queue.Kvs))}
	var wg sync.WaitGroup
	for i, kv := range queue.Kvs {
		wg.Go(func() { e.Candidates[i] = readCandidate(ctx, etcd, kv) })
	}
	wg.Wait()
	slices.SortStableFunc(e.Candidates, func(a, b cluster.Candidate) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) })
	return e, nil
}

func readCandidate(ctx context.Context, etcd reader, kv *mvccpb.KeyValue) cluster.Candidate {
	c := cluster.Candidate{
		Key: printable(kv.Key), Hostname: printable(kv.Value),
		Lease: strconv.FormatInt(kv.Lease, 16), CreateRevision: kv.CreateRevision,
	}
	ttl, remaining, err := readLease(ctx, etcd, kv.Lease)
	c.TTL, c.Remaining = cluster.See(ttl, err), cluster.See(remaining, err)
	return c
}

// readLease returns the whole time of a lease and what is left of it, in
// seconds. etcd's leader cuts what is left down to whole seconds: it is up to a
// second more, and less by the time that the answer took. Right after a
// leader's election it may exceed the whole, by the time that an election takes.
func readLease(ctx context.Context, etcd reader, id int64) (ttl, remaining float64, err error) {
	if id == 0 {
		return 0, 0, errors.New("the key has no lease: it stays until somebody deletes it")
	}
	resp, err := etcd.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
	switch {
	case err != nil:
		return 0, 0, short(err)
	case resp.GrantedTTL <= 0: // as for a lease that it does not know
		return 0, 0, errors.New("the lease has ended")
	case resp.TTL > resp.GrantedTTL+maxExtension:
		return 0, 0, fmt.Errorf("%d s left of %d s cannot be", resp.TTL, resp.GrantedTTL)
	}
	// One that ran out is negative until the leader has looked.
	return float64(resp.GrantedTTL), float64(max(resp.TTL, 0)), nil
}

// maxExtension is what a new leader may add to a lease's whole time, in
// seconds: an election timeout, and what spreads leases that end at once
// (Promote in server/lease/lessor.go, etcd v3.6.12).
const maxExtension = 3600

// printable is text from a key for people: on one line, and not too long.
func printable(b []byte) string {
	if len(b) > maxName {
		b = b[:maxName]
	}
	s := string(b)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

package etcd

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
)

func FuzzReadElection(f *testing.F) {
	f.Add([]byte("talos:v1:vip:election:10.5.0.50/a1"), []byte("cp-1"), int64(1), int64(60), int64(41))
	f.Add([]byte("x"), []byte("\x00\xff"), int64(-1), int64(-1), int64(1<<62))
	f.Fuzz(func(t *testing.T, k, v []byte, lease, granted, left int64) {
		e, err := readElection(t.Context(), told{k, v, lease, granted, left}, someVIP)
		if err != nil {
			return
		}
		for _, c := range e.Candidates {
			if strings.ContainsAny(c.Key+c.Hostname, "\n\r\x1b") || c.Remaining.Value() < 0 || len(c.Hostname) > 4*maxName+2 {
				t.Errorf("candidate %+v; want nothing that a terminal would obey, and no negative time", c)
			}
		}
	})
}

// told is an etcd with one key.
type told struct {
	k, v                 []byte
	lease, granted, left int64
}

func (e told) Range(context.Context, *pb.RangeRequest, ...grpc.CallOption) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: 1}, Kvs: []*mvccpb.KeyValue{{Key: e.k, Value: e.v, Lease: e.lease}}}, nil
}

func (e told) LeaseTimeToLive(context.Context, *pb.LeaseTimeToLiveRequest, ...grpc.CallOption) (*pb.LeaseTimeToLiveResponse, error) {
	if e.granted == 7 {
		return nil, errors.New("seven")
	}
	return &pb.LeaseTimeToLiveResponse{GrantedTTL: e.granted, TTL: e.left}, nil
}

// twoKeys is an etcd that adds to its queue a key that nobody asked for.
type twoKeys struct {
	told
	leases *atomic.Int32 // questions for leases
}

func (e twoKeys) Range(ctx context.Context, in *pb.RangeRequest, opts ...grpc.CallOption) (*pb.RangeResponse, error) {
	resp, err := e.told.Range(ctx, in, opts...)
	resp.Kvs = append(resp.Kvs, &mvccpb.KeyValue{Key: []byte("else")})
	return resp, err
}

func (e twoKeys) LeaseTimeToLive(context.Context, *pb.LeaseTimeToLiveRequest, ...grpc.CallOption) (*pb.LeaseTimeToLiveResponse, error) {
	e.leases.Add(1)
	return &pb.LeaseTimeToLiveResponse{}, nil
}

// Of a queue that is refused no lease is asked for, not even later.
func TestRefusedQueueEndsTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := twoKeys{told{k: []byte(prefix + someVIP.String() + "/a1"), v: []byte("cp-1"), lease: 1}, new(atomic.Int32)}
		_, err := readElection(t.Context(), e, someVIP)
		synctest.Wait()
		if err == nil || !strings.Contains(err.Error(), "not asked for") || e.leases.Load() != 0 {
			t.Errorf("readElection = %v, and asked for %d leases; want it refused, and none", err, e.leases.Load())
		}
	})
}

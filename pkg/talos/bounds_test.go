package talos

import (
	"context"
	"strings"
	"testing"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestBounded(t *testing.T) {
	of := func(id string, finalizers, labels int) *cosiv1alpha1.Resource {
		md := &cosiv1alpha1.Metadata{Id: id, Finalizers: distinct(finalizers), Labels: map[string]string{}}
		for _, l := range distinct(labels) {
			md.Labels[l] = "x"
		}
		return &cosiv1alpha1.Resource{Metadata: md}
	}
	told := func(now, old *cosiv1alpha1.Resource) *cosiv1alpha1.WatchResponse {
		return &cosiv1alpha1.WatchResponse{Event: []*cosiv1alpha1.Event{{}, {Resource: now, Old: old}}}
	}
	usual, long := of("eth0/10.5.0.2/24", 3, 2), of(strings.Repeat("x", maxID+1), 0, 0)
	for name, tt := range map[string]struct {
		message any
		refused bool
	}{
		"nothing":                      {&cosiv1alpha1.GetResponse{}, false},
		"another call's":               {&cosiv1alpha1.CreateResponse{}, false},
		"a usual resource":             {&cosiv1alpha1.GetResponse{Resource: usual}, false},
		"as many as may be":            {&cosiv1alpha1.GetResponse{Resource: of("a", maxTags/2, maxTags/2)}, false},
		"too many finalizers":          {&cosiv1alpha1.GetResponse{Resource: of("a", maxTags+1, 0)}, true},
		"too many labels in a list":    {&cosiv1alpha1.ListResponse{Resource: of("a", 0, maxTags+1)}, true},
		"too many of both":             {&cosiv1alpha1.ListResponse{Resource: of("a", maxTags, 1)}, true},
		"an ID without end":            {&cosiv1alpha1.ListResponse{Resource: long}, true},
		"a usual event":                {told(usual, usual), false},
		"an event with a long ID":      {told(long, nil), true},
		"one that tells it of the old": {told(usual, of("a", 0, maxTags+1)), true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := bounded(tt.message); (err != nil) != tt.refused {
				t.Errorf("bounded = %v; want it refused: %v", err, tt.refused)
			}
		})
	}
}

// tiny is a stream of empty messages without an end.
type tiny struct{ grpc.ClientStream }

func (tiny) RecvMsg(any) error { return nil }

// What is empty on the wire still takes memory here.
func TestAListOfNothingHasAnEnd(t *testing.T) {
	const most = answerLimit / leastOfList
	for name, end := range map[string]bool{"/resource.State/List": true, "/resource.State/Watch": false} {
		stream, err := boundStream(t.Context(), nil, nil, name, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return tiny{}, nil
		})
		n := 0
		for ; err == nil && n <= 2*most; n++ {
			err = stream.RecvMsg(&cosiv1alpha1.ListResponse{})
		}
		if ended := status.Code(err) == codes.ResourceExhausted && n == most+1; ended != end {
			t.Errorf("%s ended with %v after %d messages; want it ended after %d: %v", name, err, n, most, end)
		}
	}
}

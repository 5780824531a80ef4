package talos

import (
	"context"
	"slices"
	"strings"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// maxTags is how many finalizers, labels and annotations a resource may have in
// all. Those of Talos have a handful. The runtime copies all of a kind for each
// one that it takes in (cosi-project/runtime v1.14.1 resource.Finalizers.Add), so
// that an answer of answerLimit would keep it busy for many minutes, and no
// deadline ends that.
const maxTags = 64

// maxID is how long the ID of a resource may be, in bytes. That of a pod has two
// names of 253 at the most. A watch remembers IDs.
const maxID = 1 << 10

// singleLimit is how large an answer may be that is one message, in bytes. The
// largest is a node's services with 64 events of each (v1.13.9 internal/app/
// machined/pkg/system/events): some tens of kilobytes, and ten times that where
// many extensions' services cannot start. What is empty takes two bytes of an
// answer, and hundreds here.
const singleLimit = 512 << 10

// leastOfList is what a resource of a list counts for at the least, in bytes, for
// the same reason. A true one is larger.
const leastOfList = 256

// boundAnswer refuses an answer that it would take too much to take in.
func boundAnswer(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	opts = append(opts, grpc.MaxCallRecvMsgSize(singleLimit))
	err := invoke(ctx, method, req, reply, conn, opts...)
	if status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max") {
		return status.Errorf(codes.ResourceExhausted, "the answer is larger than %d KiB, and was not read", singleLimit>>10)
	}
	if err != nil {
		return err
	}
	return bounded(reply)
}

// boundStream does the same of each message of a stream, and ends a list that
// grows beyond answerLimit: its resources come as messages of their own, as many
// as the node likes.
func boundStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &boundedStream{ClientStream: stream, whole: strings.HasSuffix(method, "/List"), left: answerLimit}, nil
}

type boundedStream struct {
	grpc.ClientStream
	whole bool // left holds for all of its messages
	left  int  // bytes
}

func (s *boundedStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	if msg, ok := m.(proto.Message); ok && s.whole {
		if s.left -= max(proto.Size(msg), leastOfList); s.left < 0 {
			return status.Errorf(codes.ResourceExhausted, "the list is larger than max (%d)", answerLimit)
		}
	}
	passOverUnknown(m)
	return bounded(m)
}

// passOverUnknown takes the events out of a message of a watch that are of a type
// which a newer Talos may send. The runtime would take each for a creation, of
// nothing or of what is not there (cosi-project/runtime v1.14.1
// pkg/state/protobuf/client/client.go watchAdapter).
func passOverUnknown(message any) {
	m, ok := message.(*cosiv1alpha1.WatchResponse)
	if !ok {
		return
	}
	m.Event = slices.DeleteFunc(m.GetEvent(), func(e *cosiv1alpha1.Event) bool {
		_, known := cosiv1alpha1.EventType_name[int32(e.GetEventType())]
		return !known
	})
}

// bounded refuses a message of which one resource is out of all measure.
func bounded(message any) error {
	switch m := message.(type) {
	case *cosiv1alpha1.GetResponse:
		return boundedResource(m.GetResource())
	case *cosiv1alpha1.ListResponse:
		return boundedResource(m.GetResource())
	case *cosiv1alpha1.WatchResponse:
		for _, e := range m.GetEvent() {
			for _, r := range []*cosiv1alpha1.Resource{e.GetResource(), e.GetOld()} {
				if err := boundedResource(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func boundedResource(r *cosiv1alpha1.Resource) error {
	md := r.GetMetadata()
	switch {
	case len(md.GetFinalizers())+len(md.GetLabels())+len(md.GetAnnotations()) > maxTags:
		return status.Errorf(codes.ResourceExhausted, "a resource has more finalizers, labels and annotations than %d, and was not read", maxTags)
	case len(md.GetId()) > maxID:
		return status.Errorf(codes.ResourceExhausted, "the ID of a resource is longer than %d bytes, and was not read", maxID)
	}
	return nil
}

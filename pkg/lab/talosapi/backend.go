package talosapi

import (
	"context"
	"errors"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// backend is one way that a call may go. The zero target is this node,
// when the caller named none.
type backend struct {
	target string
	conn   *grpc.ClientConn
	// maintenance makes every caller a reader.
	maintenance bool
}

// String names the backend in the proxy's errors.
func (b *backend) String() string {
	if b.target == "" {
		return "local"
	}
	return b.target
}

// GetConnection returns the connection and the context of the outgoing call:
// the caller's roles, and that the call is routed.
func (b *backend) GetConnection(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
	md := metadata.MD{}
	incoming, _ := metadata.FromIncomingContext(ctx)
	for _, key := range []string{"runtime", "context"} {
		if v := incoming[key]; v != nil {
			md.Set(key, v...)
		}
	}
	md.Set(rolesKey, b.rolesOf(ctx).Strings()...)
	from := incoming[":authority"]
	if len(from) == 0 {
		from = []string{"unknown"}
	}
	md.Set("proxyfrom", from...)
	return metadata.NewOutgoingContext(ctx, md), b.conn, nil
}

// AppendInfo puts the target's name into a reply of one of many nodes.
//
// Every unary reply is {repeated Reply messages = 1} and every Reply has
// {common.Metadata metadata = 1}, which nodes leave empty; a field appended to
// an encoded message is a field set. A streamed message has the metadata
// itself.
func (b *backend) AppendInfo(streaming bool, resp []byte) ([]byte, error) {
	info, err := proto.Marshal(&common.Empty{Metadata: &common.Metadata{Hostname: b.target}})
	if err != nil || streaming {
		return append(resp, info...), err
	}
	num, typ, n := protowire.ConsumeTag(resp)
	if n < 0 || num != 1 || typ != protowire.BytesType {
		return nil, errors.New("unexpected message format")
	}
	reply, m := protowire.ConsumeBytes(resp[n:])
	if m < 0 {
		return nil, protowire.ParseError(m)
	}
	out := protowire.AppendTag(nil, 1, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(len(reply)+len(info)))
	out = append(append(out, reply...), info...)
	return append(out, resp[n+m:]...), nil
}

// BuildError makes a node's error a reply, so that the other nodes' replies
// still arrive.
func (b *backend) BuildError(streaming bool, err error) ([]byte, error) {
	reply := &common.Empty{Metadata: &common.Metadata{
		Hostname: b.target,
		Error:    err.Error(),
		Status:   status.Convert(err).Proto(),
	}}
	if streaming {
		return proto.Marshal(reply)
	}
	return proto.Marshal(&common.EmptyResponse{Messages: []*common.Empty{reply}})
}

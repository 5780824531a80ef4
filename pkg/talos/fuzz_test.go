package talos

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	"github.com/cosi-project/runtime/pkg/state"
	cosiclient "github.com/cosi-project/runtime/pkg/state/protobuf/client"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vipctl/vipctl/pkg/cluster"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Whatever a talosconfig holds, it is read or refused.
func FuzzParseTalosconfig(f *testing.F) {
	for _, seed := range []string{
		"context: lab\ncontexts:\n  lab:\n    endpoints: [10.5.0.2]\n    nodes: [10.5.0.3]\n    ca: YQ==\n    crt: YQ==\n    key: YQ==\n",
		"context: omni\ncontexts:\n  omni:\n    endpoints: ['https://omni.example.com']\n    auth:\n      siderov1:\n        identity: me@example.com\n    cluster: one\n",
		"contexts:\n  old:\n    target: 10.5.0.2\n", "contexts: {a: null}", "", "[", "context: [a]", "a: &a [*a]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parse(strings.NewReader(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("parse(%q) = %q; want one line", text, err)
			}
			return
		}
		for name, c := range file.Contexts {
			cfg := &Config{Path: "talosconfig", Context: name, file: file, Endpoints: c.Endpoints}
			_, _ = tlsConfig(c)
			_ = cfg.check(c, time.Now())
		}
	})
}

// An endpoint that is accepted can be dialled: it has a host and a port.
func FuzzParseEndpoint(f *testing.F) {
	for _, seed := range []string{"10.5.0.2", "10.5.0.2:50000", "https://omni.example.com", "https://[fd00::1]:6443/x", "[fd00::1]", "fd00::1%eth0", "cp-1", "::", "https://", "a:0", "a:65536", " a "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseEndpoint(text)
		if err != nil {
			return
		}
		if _, err := netip.ParseAddr(at.host); at.port == 0 || at.host == "" || err != nil && !isName(at.host) {
			t.Errorf("parseEndpoint(%q) = %+v; want a host and a port", text, at)
		}
	})
}

// Every error of a member is kept, as an error or as an alarm.
func FuzzSplitAlarms(f *testing.F) {
	for _, seed := range []string{"memberID:162 alarm:NOSPACE", "memberID:-1 alarm:X", "memberID:18446744073709551616 alarm:NOSPACE", "etcdserver: no leader", "", "memberID:1 alarm:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		errs, raised := splitAlarms([]string{text})
		if len(errs)+len(raised) != 1 {
			t.Errorf("splitAlarms(%q) = %q, %v; want one of them", text, errs, raised)
		}
		if len(raised) == 1 && raised[0].Alarm == "" {
			t.Errorf("splitAlarms(%q) = %v; want an alarm with a kind", text, raised)
		}
	})
}

// A member's URLs give addresses, or nothing.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"https://10.5.0.2:2380", "https://[fd00::2]:2380", "unix:///x", "https://[::ffff:10.5.0.2]:1", "::", "http://localhost:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		for _, addr := range hosts(cluster.Member{PeerURLs: []string{url}}) {
			if !addr.IsValid() || addr.Is4In6() {
				t.Errorf("hosts(%q) = %v; want addresses that can be compared", url, addr)
			}
		}
	})
}

// A pod's status is what the kubelet says, of any shape.
func FuzzPodReady(f *testing.F) {
	for _, seed := range []string{
		`{"conditions":[{"type":"Ready","status":"True"}]}`, `{"conditions":{"type":"Ready"}}`, `{"conditions":[null,1,[],{"type":["Ready"]}]}`, `null`, `{"conditions":[{"type":{"a":1}}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var status map[string]any
		if json.Unmarshal([]byte(text), &status) != nil {
			return
		}
		if podReady(status) && (!strings.Contains(text, "R") && !strings.Contains(text, `\u`)) {
			t.Errorf("podReady(%s) = true without a condition Ready", text)
		}
	})
}

// Whatever a call fails with, the reason is one line of no more than a few
// kilobytes that no terminal takes for commands.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{
		"not authorized", "x509: certificate signed by unknown authority (possibly because of \"crypto\")", "tls: bad \x1b[2J",
		"connection error: desc = \"transport: Error while dialing: dial tcp 10.5.0.3:50000: connect: no route to host\"",
		"x509: certificate has expired or is not yet valid: current time A is after B", "failed to do connect handshake, response: \"HTTP/1.1 403 \r\n",
		"desc = ", "trailing \\", "\"", "error reading server preface: use of closed network connection",
	} {
		for _, code := range []uint32{0, uint32(codes.Unavailable), uint32(codes.PermissionDenied), uint32(codes.ResourceExhausted), 99} {
			f.Add(code, seed)
		}
	}
	t0 := target{addr: netip.MustParseAddrPort("127.0.0.1:50000")} // reached through no proxy
	f.Fuzz(func(t *testing.T, code uint32, text string) {
		err := status.Error(codes.Code(code), text)
		if code == 0 { // that is no error of gRPC's
			err = errors.New(text)
		}
		_ = answered(err)
		got := plain(err, t0, time.Second).Error()
		if len(got) > 4*maxReason || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("plain(%q) = %q; want one printable line", text, got)
		}
	})
}

// Whatever a watch brings, it is taken in or refused, and what was taken in can be
// written and read.
func FuzzWatch(f *testing.F) {
	r, err := protobuf.FromResource(addressStatus("10.5.0.50/32"))
	if err != nil {
		f.Fatal(err)
	}
	one, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	for _, typ := range []cosiv1alpha1.EventType{0, 1, 2, 3, 4, 5, 6} {
		for _, res := range []*cosiv1alpha1.Resource{nil, {}, one} {
			data, err := proto.Marshal(&cosiv1alpha1.WatchResponse{Event: []*cosiv1alpha1.Event{{EventType: typ, Resource: res}, {EventType: typ, Old: res, Error: new("x")}}})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		message := &cosiv1alpha1.WatchResponse{}
		if proto.Unmarshal(data, message) != nil || bounded(message) != nil {
			return
		}
		known := newSightings()
		events := make(chan state.Event)
		kind := resource.NewMetadata(network.NamespaceName, network.AddressStatusType, "", resource.VersionUndefined)
		adapter := cosiclient.NewAdapter(&toldWatch{messages: []*cosiv1alpha1.WatchResponse{{}, message}}, cosiclient.WithDisableWatchRetry())
		if err := adapter.WatchKind(t.Context(), kind, events); err != nil {
			t.Fatal(err)
		}
		for {
			var e state.Event
			select {
			case e = <-events:
			case <-time.After(10 * time.Second):
				t.Fatal("the watch neither brings anything nor ends")
			}
			if _, err := known.apply(e); err != nil || e.Type == state.Errored {
				break // the last event says that the stream ended
			}
		}
		for _, p := range known.prefixes() {
			written, _ := p.MarshalText()
			if err := new(netip.Prefix).UnmarshalText(written); err != nil {
				t.Errorf("%v was taken in, and cannot be read: %v", p, err)
			}
		}
	})
}

// toldWatch is a node's runtime whose watches bring the messages, and end.
type toldWatch struct {
	cosiv1alpha1.StateClient
	grpc.ClientStream
	messages []*cosiv1alpha1.WatchResponse
}

func (w *toldWatch) Watch(context.Context, *cosiv1alpha1.WatchRequest, ...grpc.CallOption) (cosiv1alpha1.State_WatchClient, error) {
	return w, nil
}

func (w *toldWatch) Recv() (*cosiv1alpha1.WatchResponse, error) {
	if len(w.messages) == 0 {
		return nil, io.EOF
	}
	next := w.messages[0]
	w.messages = w.messages[1:]
	return next, nil
}

package lab

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	"google.golang.org/grpc/codes"
)

func tourOfRoutes() []stop {
	return []stop{
		{"one call goes to many, and one that fails does not fail it", func(ctx context.Context, v *tour) error {
			resp, err := v.reader.Version(talosclient.WithNodes(ctx, "10.5.0.2", "10.5.0.3", "10.5.0.250"))
			if err != nil && resp == nil {
				return err
			}
			said := map[string]bool{}
			for _, m := range resp.GetMessages() {
				said[m.GetMetadata().GetHostname()] = m.GetVersion().GetTag() != ""
			}
			if !said["10.5.0.2"] || !said["10.5.0.3"] || said["10.5.0.250"] {
				return untrue("Version of many = %v, %v; want answers of two", resp, err)
			}
			return nil
		}},
		{"a target has no port", func(ctx context.Context, v *tour) error {
			_, err := v.reader.Version(talosclient.WithNode(ctx, "10.5.0.3:50000"))
			return refused(err, codes.Internal, `invalid target "10.5.0.3:50000"`)
		}},
		{"streams go to another node", func(ctx context.Context, v *tour) error {
			text, err := drain(v.reader.Logs(talosclient.WithNode(ctx, "10.5.0.4"), "system", common.ContainerDriver_CONTAINERD, "machined", false, 1))
			if text == "" {
				return untrue("machined of another node = %q, %v", text, err)
			}
			return err
		}},
	}
}

func tourOfSequences() []stop {
	return []stop{
		{"events since an ID, and none since what is no ID", func(ctx context.Context, v *tour) error {
			stream, err := v.reader.Events(ctx, talosclient.WithTailID("junk"))
			if err == nil {
				_, err = stream.Recv()
			}
			return refused(err, codes.Unknown, "error parsing tail_id")
		}},
		{"a reboot says its actor in its events, and the boot ID changes", func(ctx context.Context, v *tour) error {
			return seeReboot(ctx, v, "10.5.0.3")
		}},
		{"etcd that ended is back", func(ctx context.Context, v *tour) error {
			eventually(v.T, "etcd is back", func() bool { return v.etcdHealthy(ctx) })
			return nil
		}},
		{"a shutdown ends the machine", func(ctx context.Context, v *tour) error {
			if err := v.admin.Shutdown(talosclient.WithNode(ctx, "10.5.0.4"), talosclient.WithShutdownForce(true)); err != nil {
				return err
			}
			eventually(v.T, "cp-3 is off", func() bool { _, n := status(v.T, v.lab, "cp-3"); return n.Power == PowerOff })
			return nil
		}},
	}
}

func seeReboot(ctx context.Context, v *tour, node string) error {
	direct := reach{v.T, v.lab}.talos(node, "admin")
	bootID := func() string {
		r, err := direct.Read(ctx, "/proc/sys/kernel/random/boot_id")
		if err != nil {
			return ""
		}
		data, _ := io.ReadAll(r)
		return string(data)
	}
	before := bootID()
	events, err := direct.Events(ctx)
	if err != nil {
		return err
	}
	if hello, err := events.Recv(); err != nil || hello.GetData().GetTypeUrl() != "" {
		return untrue("the first event = %v, %v; want an empty one", hello, err)
	}
	resp, err := direct.RebootWithResponse(ctx)
	if err != nil {
		return err
	}
	actor := resp.GetMessages()[0].GetActorId()
	for {
		e, err := events.Recv()
		if err != nil {
			return fmt.Errorf("the events end with %w before the sequence of %s begins", err, actor)
		}
		if e.GetActorId() == actor && strings.HasSuffix(e.GetData().GetTypeUrl(), "machine.SequenceEvent") {
			break
		}
	}
	eventually(v.T, "the node is back with another boot ID", func() bool { id := bootID(); return id != "" && id != before && len(before) == 37 })
	return nil
}

package talosapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	cosiv1alpha1 "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	cosiclient "github.com/cosi-project/runtime/pkg/state/protobuf/client"
	clusterapi "github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// clusterService answers for the whole cluster.
type clusterService struct {
	clusterapi.UnimplementedClusterServiceServer
	cfg   Config
	route *router
}

// HealthCheck makes one check after the other and says how each goes, until
// all of them passed or the time that the caller gives is over.
func (s *clusterService) HealthCheck(req *clusterapi.HealthCheckRequest, stream grpc.ServerStreamingServer[clusterapi.HealthCheckProgress]) error {
	if err := onlyControlPlane(stream.Context(), s.cfg.State, "cluster health check"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(stream.Context(), req.GetWaitTimeout().AsDuration())
	defer cancel()
	patient, err := s.patient(ctx, req.GetClusterInfo())
	if err != nil {
		return err
	}
	say := func(text string) error { return stream.Send(&clusterapi.HealthCheckProgress{Message: text}) }
	if err := say(fmt.Sprintf("discovered nodes: %q", patient.addrs())); err != nil {
		return err
	}
	for _, c := range healthChecks() {
		if err := c.await(ctx, patient, say); err != nil {
			return err
		}
	}
	return nil
}

// patient is the cluster whose health is checked, seen from one node with the
// caller's roles.
type patient struct {
	service *clusterService
	sent    metadata.MD // the caller's roles, for the nodes that are asked
	nodes   []patientNode
}

type patientNode struct {
	ips          []netip.Addr // how it is reached first
	controlPlane bool
	conn         *grpc.ClientConn
}

func (n patientNode) String() string { return n.ips[0].String() }

// machine asks the node's own services, and state its resources.
func (n patientNode) machine() machine.MachineServiceClient {
	return machine.NewMachineServiceClient(n.conn)
}
func (n patientNode) state() state.State {
	return state.WrapCore(cosiclient.NewAdapter(cosiv1alpha1.NewStateClient(n.conn)))
}

func (p *patient) addrs() (list []string) {
	for _, n := range p.nodes {
		list = append(list, n.String())
	}
	return list
}

func (p *patient) controlPlanes() []patientNode {
	return slices.DeleteFunc(slices.Clone(p.nodes), func(n patientNode) bool { return !n.controlPlane })
}

// patient takes the nodes that the caller names, or else the cluster's members.
func (s *clusterService) patient(ctx context.Context, info *clusterapi.ClusterInfo) (*patient, error) {
	roles, _ := sentRoles(ctx)
	from, err := s.cfg.Hostname()
	if err != nil {
		return nil, err
	}
	p := &patient{service: s, sent: metadata.MD{"proxyfrom": {from}, rolesKey: roles.Strings()}}
	err = errors.Join(p.name(info.GetControlPlaneNodes(), true), p.name(info.GetWorkerNodes(), false))
	if err != nil || len(p.nodes) > 0 {
		return p, err
	}
	members, err := safe.StateListAll[*cluster.Member](ctx, s.cfg.State)
	if err != nil {
		return nil, err
	}
	for m := range members.All() {
		if len(m.TypedSpec().Addresses) == 0 {
			return nil, fmt.Errorf("no IP address found for member: %s", m.Metadata().ID())
		}
		if err := p.add(m.TypedSpec().Addresses, m.TypedSpec().MachineType.IsControlPlane()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *patient) name(nodes []string, controlPlane bool) error {
	for _, n := range nodes {
		ip, err := netip.ParseAddr(n)
		if err != nil {
			return err
		}
		if err := p.add([]netip.Addr{ip}, controlPlane); err != nil {
			return err
		}
	}
	return nil
}

func (p *patient) add(ips []netip.Addr, controlPlane bool) error {
	n := patientNode{ips: ips, controlPlane: controlPlane, conn: p.service.route.local}
	if !p.service.route.isLocal(n.String()) {
		var err error
		if n.conn, err = p.service.route.dial(n.String()); err != nil {
			return err
		}
	}
	p.nodes = append(p.nodes, n)
	return nil
}

// healthCheck is something to wait for, as Talos words it.
type healthCheck struct {
	name  string
	every time.Duration
	check func(context.Context, *patient) error
}

// errSkipped is the outcome of a check that has nothing to look at.
var errSkipped = errors.New("SKIP")

// await makes the check again and again until it passes or is skipped. It says
// each new outcome once.
func (c healthCheck) await(ctx context.Context, p *patient, say func(string) error) error {
	last := ""
	report := func(outcome string) error {
		if outcome == last {
			return nil
		}
		last = outcome
		return say(fmt.Sprintf("waiting for %s: %s", c.name, outcome))
	}
	if err := report("..."); err != nil {
		return err
	}
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	for {
		err := c.once(ctx, p)
		outcome := "OK"
		if err != nil {
			outcome = err.Error()
		}
		if failed := report(outcome); failed != nil {
			return failed
		}
		if err == nil || errors.Is(err, errSkipped) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (c healthCheck) once(ctx context.Context, p *patient) error {
	ctx, cancel := context.WithTimeout(ctx, c.every)
	defer cancel()
	return c.check(metadata.NewOutgoingContext(ctx, p.sent), p)
}

package fleet_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	talosclient "github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vipctl/vipctl/pkg/lab/fleet"
)

func TestPlan(t *testing.T) {
	for nodes, want := range map[int]struct{ clusters, first, last int }{
		3: {1, 3, 3}, 100: {33, 4, 3}, 1000: {333, 4, 3}, 5: {1, 4, 4},
	} {
		plan, err := fleet.Plan(nodes)
		if err != nil || len(plan) != want.clusters || len(plan[0].Nodes) != want.first || len(plan[want.clusters-1].Nodes) != want.last {
			t.Errorf("Plan(%d) = %d clusters, %v; want %+v", nodes, len(plan), err, want)
		}
		seen := make(map[netip.Addr]bool)
		for _, c := range plan {
			addrs := []netip.Addr{c.VIP}
			for _, n := range c.Nodes {
				addrs = append(addrs, n.Addr)
			}
			for _, addr := range addrs {
				if seen[addr] || !fleet.Prefix.Contains(addr) {
					t.Errorf("Plan(%d) has %s twice, or outside of %s", nodes, addr, fleet.Prefix)
				}
				seen[addr] = true
			}
		}
	}
	for _, nodes := range []int{-1, 0, 2, 200_000} {
		if plan, err := fleet.Plan(nodes); err == nil {
			t.Errorf("Plan(%d) = %d clusters; want an error", nodes, len(plan))
		}
	}
}

// loopback is a cluster whose addresses every Linux machine has.
func loopback(name string, net byte) fleet.Cluster {
	addr := func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, net, host}) }
	return fleet.Cluster{Name: name, VIP: addr(50), Owner: 1, Nodes: []fleet.Node{{name + "-cp-1", addr(2)}, {name + "-cp-2", addr(3)}, {name + "-cp-3", addr(4)}}}
}

func TestFleetAnswersAsTalosDoes(t *testing.T) {
	clusters := []fleet.Cluster{loopback("a", 1), loopback("b", 2)}
	f, err := fleet.Serve(clusters)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := f.Talosconfig()
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientconfig.FromBytes(data)
	if err != nil || len(config.Contexts) != 2 {
		t.Fatalf("talosconfig with %d contexts, %v; want two", len(config.Contexts), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ask := func(named string, at netip.Addr) (hostname string, holds bool, err error) {
		c, err := talosclient.New(ctx, talosclient.WithConfig(config), talosclient.WithContextName(named), talosclient.WithEndpoints(at.String()))
		if err != nil {
			return "", false, err
		}
		defer func() { _ = c.Close() }()
		resp, err := c.MachineClient.Hostname(ctx, &emptypb.Empty{})
		if err != nil {
			return "", false, err
		}
		list, err := safe.StateListAll[*network.AddressStatus](ctx, c.COSI)
		if err != nil {
			return "", false, err
		}
		holds = slices.ContainsFunc(slices.Collect(list.All()), func(a *network.AddressStatus) bool {
			return a.TypedSpec().Address.Addr() == clusters[0].VIP
		})
		return resp.GetMessages()[0].GetHostname(), holds, nil
	}
	for i, n := range clusters[0].Nodes {
		if name, holds, err := ask("a", n.Addr); name != n.Name || holds != (i == 1) || err != nil {
			t.Errorf("%s is called %q, holds the VIP: %v, %v; want only a-cp-2 to hold it", n.Name, name, holds, err)
		}
	}
	if name, _, err := ask("a", clusters[0].VIP); name != "a-cp-2" || err != nil {
		t.Errorf("the VIP is %q's, %v; want a-cp-2's", name, err)
	}
	if name, _, err := ask("a", clusters[1].VIP); err == nil {
		t.Errorf("%s answers a reader of another cluster", name)
	}
}

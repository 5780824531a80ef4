//go:build linux

package node

import (
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
)

func TestVerdictOnAServiceThatIsBeingStoppedIsTooLate(t *testing.T) {
	m, d, _ := newFake(t, nil)
	eventually(t, "a booted machine", func() bool { return d.has("booted ") })
	ptr := v1alpha1.NewService("trustd").Metadata()
	m.services.health("trustd", healthBad, "it is slow")
	if !exists(m, ptr) {
		t.Fatal("the resource of a service that runs is gone")
	}
	m.services.set("trustd", machineapi.ServiceStateEvent_STOPPING, "", healthUnknown)
	m.services.health("trustd", healthGood, "")
	if exists(m, ptr) {
		t.Error("the resource of a service that is being stopped is back")
	}
	m.services.stop("nobody")
	for _, s := range m.services.list() {
		if s.GetId() == "nobody" {
			t.Errorf("a service that never ran = %v after its stop; want none", s)
		}
	}
}

func TestWorkerWithAnotherNameHasNoEtcd(t *testing.T) {
	m, _, _ := newFake(t, func(c *Config) { c.Worker, c.VIPs = true, nil })
	m.rename("cp-1")
	if !exists(m, network.NewHostnameStatus(network.NamespaceName, network.HostnameID).Metadata()) {
		t.Error("the worker has no HostnameStatus")
	}
	if exists(m, etcd.NewSpec(etcd.NamespaceName, etcd.SpecID).Metadata()) {
		t.Error("the worker has an EtcdSpec")
	}
}

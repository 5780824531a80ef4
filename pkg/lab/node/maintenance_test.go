//go:build linux

package node

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/resource"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/cluster"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// hideConfig makes a machine find no configuration on its disk.
func hideConfig(t *testing.T) func(*Config) {
	return func(cfg *Config) {
		if err := os.WriteFile(maintenanceMark(cfg.Dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stageOf returns the machine's stage.
func stageOf(m *machine) runtime.MachineStage {
	m.status.mu.Lock()
	defer m.status.mu.Unlock()
	return m.status.last.Stage
}

func TestMaintenanceEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*testing.T, *machine)
		code int
	}{
		{"when its fault is undone", func(t *testing.T, m *machine) {
			if err := (&faults{m: m}).obey(Order{Fault: faultMaintenance}); err != nil {
				t.Fatal(err)
			}
		}, ExitReboot},
		{"when the power button is pressed", func(t *testing.T, m *machine) {
			if err := (&faults{m: m}).obey(Order{ACPI: true}); err != nil {
				t.Fatal(err)
			}
		}, ExitPowerOff},
		{"by a reboot, into maintenance again", func(_ *testing.T, m *machine) { m.Reboot(machineapi.RebootRequest_POWERCYCLE) }, ExitReboot},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, d, exit := newFake(t, hideConfig(t))
			eventually(t, "it is in maintenance", func() bool { return stageOf(m) == runtime.MachineStageMaintenance })
			tt.end(t, m)
			if code := <-exit; code != tt.code {
				t.Errorf("exit code = %d; want %d", code, tt.code)
			}
			for _, line := range d.all() {
				if strings.HasPrefix(line, "process-started") || strings.HasPrefix(line, "vip") || strings.HasPrefix(line, "booted") {
					t.Errorf("the machine did %q; want none of that in maintenance", line)
				}
			}
			for _, service := range m.services.list() {
				if !slices.Contains([]string{"apid", "containerd", "machined", "udevd"}, service.GetId()) {
					t.Errorf("the machine had a service %s; want none of that in maintenance", service.GetId())
				}
			}
			hidden, err := inMaintenance(m.cfg.Dir)
			if want := !strings.Contains(tt.name, "undone"); err != nil || hidden != want {
				t.Errorf("inMaintenance after = %v, %v; want %v", hidden, err, want)
			}
		})
	}
}

func TestMaintenanceKnowsNoCluster(t *testing.T) {
	m, _, _ := newFake(t, hideConfig(t))
	eventually(t, "it is in maintenance", func() bool { return stageOf(m) == runtime.MachineStageMaintenance })
	m.publishMember(Peer{Name: m.cfg.Name, Addr: m.cfg.Addr.Addr()}, nil)
	for _, ptr := range []resource.Pointer{
		cluster.NewMember(cluster.NamespaceName, m.cfg.Name).Metadata(),
		k8s.NewNodename(k8s.NamespaceName, k8s.NodenameID).Metadata(),
		network.NewOperatorSpec(network.NamespaceName, "vip/eth0/"+testVIP.String()).Metadata(),
		lifecycle(),
	} {
		if exists(m, ptr) {
			t.Errorf("%v is published in maintenance; want that it is not", ptr)
		}
	}
}

func TestMaintenanceIsEnteredByAReboot(t *testing.T) {
	m, d, exit := newFake(t, nil)
	eventually(t, "it has the VIP", func() bool { return d.has("vip taken") })
	if err := (&faults{m: m}).obey(Order{Fault: faultMaintenance, On: true}); err != nil {
		t.Fatal(err)
	}
	if code := <-exit; code != ExitReboot || !d.has("vip released") {
		t.Errorf("exit code = %d, VIP released: %v; want %d, true", code, d.has("vip released"), ExitReboot)
	}
	if hidden, err := inMaintenance(m.cfg.Dir); err != nil || !hidden {
		t.Errorf("inMaintenance after = %v, %v; want true", hidden, err)
	}
}

//go:build linux

package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/cosi-project/runtime/pkg/safe"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

func TestSequencesReleaseTheVIPAndEnd(t *testing.T) {
	tests := []struct {
		name string
		end  func(*machine)
		exit int
		// order lists lines of the diary that must come in this order.
		order []string
	}{
		{
			"reboot", func(m *machine) { m.Reboot(machineapi.RebootRequest_DEFAULT) }, ExitReboot,
			[]string{"sequence-started reboot", "vip released", "apiserver got SIGTERM", "etcd got SIGTERM", "api closed"},
		},
		{
			"powercycle, which is as graceful", func(m *machine) { m.Reboot(machineapi.RebootRequest_POWERCYCLE) }, ExitReboot,
			[]string{"vip released", "apiserver got SIGTERM", "etcd got SIGTERM", "api closed"},
		},
		{
			"forced shutdown, which is graceful for the VIP", func(m *machine) { m.Shutdown(true) }, ExitPowerOff,
			[]string{"sequence-started shutdown", "vip released", "etcd got SIGTERM", "api closed"},
		},
		{
			"forced reboot of a version that knows none", func(m *machine) {
				m.cfg.TalosVersion = "v1.11.5"
				m.Reboot(machineapi.RebootRequest_FORCE)
			}, ExitReboot,
			[]string{"vip released", "apiserver got SIGTERM", "etcd got SIGTERM", "api closed"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, d, exit := newFake(t, nil)
			eventually(t, "a booted machine with the VIP", func() bool { return d.has("booted ") && d.has("vip taken") })
			tt.end(m)
			if got := <-exit; got != tt.exit {
				t.Errorf("exit code = %d; want %d", got, tt.exit)
			}
			for i, line := range tt.order {
				if !d.has(line) || i > 0 && d.index(line) < d.index(tt.order[i-1]) {
					t.Fatalf("diary = %q; want %q in this order", d.all(), tt.order)
				}
			}
		})
	}
}

func TestForcedRebootLetsGoWhenEtcdIsStopped(t *testing.T) {
	m, d, exit := newFake(t, nil)
	eventually(t, "a booted machine with the VIP", func() bool { return d.has("booted ") && d.has("vip taken") })
	m.Reboot(machineapi.RebootRequest_FORCE)
	if got := <-exit; got != ExitReboot {
		t.Errorf("exit code = %d; want %d", got, ExitReboot)
	}
	eventually(t, "release of the VIP", func() bool { return d.has("vip released") && d.has("etcd got SIGTERM") })
}

func TestRestartOfTheKubeletReleasesTheVIPAndKeepsTheApiserver(t *testing.T) {
	m, d, _ := newFake(t, nil)
	eventually(t, "a booted machine with the VIP", func() bool { return d.has("booted ") && d.has("vip taken") })
	if err := (apiServices{m}).RestartKubelet(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "release of the VIP", func() bool { return d.has("vip released") })
	eventually(t, "the static pod's status", func() bool { return exists(m, m.kubelet.status().Metadata()) })
	if d.has("apiserver got SIGTERM") {
		t.Errorf("diary = %q; want no SIGTERM to the apiserver", d.all())
	}
}

func TestProcessesThatEndByThemselves(t *testing.T) {
	m, d, _ := newFake(t, nil)
	eventually(t, "a booted machine with the VIP", func() bool { return d.has("booted ") && d.has("vip taken") })
	m.apiserver.hold(true)
	eventually(t, "the end of the apiserver", func() bool { return d.has("process-killed apiserver") })
	if d.has("vip released") {
		t.Error("VIP released when the apiserver was killed; want it kept")
	}
	starts := func() int {
		return len(slices.DeleteFunc(d.all(), func(l string) bool { return l != "process-started apiserver" }))
	}
	if got := starts(); got != 1 {
		t.Errorf("apiserver started %d times while held down; want 1", got)
	}
	m.apiserver.hold(false)
	eventually(t, "the apiserver back", func() bool { return starts() == 2 })
}

func TestSecondSequenceIsLockedOutByAShutdown(t *testing.T) {
	m, d, _ := newFake(t, nil)
	eventually(t, "a booted machine", func() bool { return d.has("booted ") })
	_, leave, ok := m.sequencer.enter(t.Context(), sequence{name: "shutdown"})
	if !ok {
		t.Fatal("enter shutdown = false; want true")
	}
	defer leave()
	if _, _, ok := m.sequencer.enter(t.Context(), sequence{name: "reboot", takeOver: []string{"boot", "reboot"}}); ok {
		t.Error("enter reboot during a shutdown = true; want false")
	}
	m.perform(t.Context(), sequence{name: "reboot", takeOver: []string{"boot"}}, "me")
	if d.has("sequence-started reboot") {
		t.Errorf("diary = %s; want no reboot", strings.Join(d.all(), ", "))
	}
}

func TestMachineOnItsWayDownIsReady(t *testing.T) {
	m, d, exit := newFake(t, nil)
	eventually(t, "a booted machine", func() bool { return d.has("booted ") })
	m.Reboot(machineapi.RebootRequest_DEFAULT)
	<-exit
	r, err := safe.StateGet[*runtime.MachineStatus](t.Context(), m.state, runtime.NewMachineStatus().Metadata())
	if err != nil {
		t.Fatal(err)
	}
	if s := r.TypedSpec(); s.Stage != runtime.MachineStageRebooting || !s.Status.Ready || len(s.Status.UnmetConditions) > 0 {
		t.Errorf("machine status = %+v; want rebooting, and ready, for nothing is asked of it", s)
	}
}

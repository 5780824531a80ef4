//go:build linux

package node

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	machinetype "github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/config"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/time"

	"github.com/vipctl/vipctl/pkg/lab/pki"
)

// faultMaintenance boots the node as one that has no configuration. It lasts
// over power cuts and reboots, for it is on the node's disk.
const faultMaintenance = "maintenance"

var errInMaintenance = errors.New("the node is in maintenance mode")

// maintenanceMark is the file on the node's disk that hides its configuration.
func maintenanceMark(dir string) string { return filepath.Join(dir, "maintenance") }

func inMaintenance(dir string) (bool, error) {
	_, err := os.Stat(maintenanceMark(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// setMaintenance hides the configuration, or gives it back, and reboots. The
// rest of the disk stays as it is. A machine that goes down already finds its
// configuration again at the next boot without another.
func (f *faults) setMaintenance(on bool) error {
	mark, down := maintenanceMark(f.m.cfg.Dir), f.m.sequencer.goingDown()
	if on {
		if down {
			return errors.New("the machine is going down")
		}
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return err
		}
	} else if err := os.Remove(mark); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case down, on == f.m.maintenance: // the next boot makes it so, or it is so
	case on:
		f.m.Reboot(machineapi.RebootRequest_DEFAULT)
	default:
		f.m.leaveMaintenance()
	}
	return nil
}

// leaveMaintenance reboots: nothing but the API is there to be stopped.
func (m *machine) leaveMaintenance() {
	m.startSequence(sequence{
		name: "reboot", stage: runtime.MachineStageRebooting, down: true, takeOver: []string{"initialize"},
		phases: []phase{
			one("stopEverything", "stopAllServices", m.stopAllServices),
			one("reboot", "reboot", func(context.Context) { m.end(ExitReboot) }),
		},
	})
}

// maintenanceParts gives the machine what it has without a configuration: the
// API. No etcd, kubelet, apiserver, operator or discovery comes up, and the
// node's secrets are not read.
func (m *machine) maintenanceParts(local func(netip.Addr) bool) error {
	server, err := pki.MaintenanceTLS(m.cfg.Name, []netip.Addr{m.cfg.Addr.Addr()})
	if err != nil {
		return err
	}
	m.parts = parts{listen: apiListener(server, nil, nil, local)}
	return nil
}

// maintenanceSequence is the initialize sequence of a node that finds no
// configuration: its task loadConfig waits for one (Talos v1.13.9
// internal/app/machined/pkg/controllers/config/acquire.go).
func (m *machine) maintenanceSequence(ctx context.Context) {
	m.publishWithoutConfig()
	m.perform(ctx, sequence{name: "initialize", stage: runtime.MachineStageBooting, phases: []phase{
		one("earlyServices", "startMachined", func(context.Context) {
			for _, id := range []string{"udevd", "machined", "containerd"} {
				m.services.start(id)
			}
		}),
		one("config", "loadConfig", m.waitConfig),
	}}, "")
}

// waitConfig serves the API in maintenance mode until the machine goes down.
func (m *machine) waitConfig(ctx context.Context) {
	m.events.Publish(&machineapi.TaskEvent{Task: "runningMaintenance", Action: machineapi.TaskEvent_START}, "")
	m.status.enter(runtime.MachineStageMaintenance)
	if err := m.api.start(); err != nil {
		m.log.Printf("start the Talos API: %v", err)
		m.services.set("apid", machineapi.ServiceStateEvent_FAILED, err.Error(), healthBad)
	}
	<-ctx.Done()
}

// publishWithoutConfig publishes what a node knows without a configuration.
// Its host name and address are those that DHCP gives it.
func (m *machine) publishWithoutConfig() {
	put(m, "config.MachineTypeController", config.NewMachineType(), func(r *config.MachineType) { r.SetMachineType(machinetype.TypeUnknown) })
	put(m, "runtime.VersionController", runtime.NewVersion(), func(r *runtime.Version) {
		*r.TypedSpec() = runtime.VersionSpec{Name: "Talos", Version: m.cfg.TalosVersion}
	})
	put(m, "network.HostnameSpecController", network.NewHostnameStatus(network.NamespaceName, network.HostnameID), func(r *network.HostnameStatus) {
		r.TypedSpec().Hostname = m.cfg.Name
	})
	put(m, "time.SyncController", time.NewStatus(), func(r *time.Status) {
		*r.TypedSpec() = time.StatusSpec{Synced: true, SyncDisabled: true} // the host's clock
	})
}

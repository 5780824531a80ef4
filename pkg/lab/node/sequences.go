//go:build linux

package node

import (
	"context"
	"sync"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/google/uuid"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// finalizersTimeout is how long a node on its way down waits for its VIP
// operators to let go (Talos v1.13.9
// internal/app/machined/pkg/runtime/v1alpha1/v1alpha1_sequencer_tasks.go).
const finalizersTimeout = 30 * time.Second

// flushTime is what the last events get to reach their readers before the API
// is gone.
const flushTime = 20 * time.Millisecond

// Reboot starts the reboot sequence and returns its actor ID.
func (m *machine) Reboot(mode machineapi.RebootRequest_Mode) string {
	if mode == machineapi.RebootRequest_FORCE && !m.cfg.release().HasForce() {
		mode = machineapi.RebootRequest_DEFAULT
	}
	s := sequence{
		name: "reboot", stage: runtime.MachineStageRebooting, down: true,
		takeOver: []string{"initialize", "boot", "reboot", "reset"},
	}
	reboot := one("reboot", "reboot", func(context.Context) { m.end(ExitReboot) })
	switch mode {
	case machineapi.RebootRequest_FORCE:
		s.phases = []phase{one("reboot", "reboot", func(context.Context) { m.dropEverything(); m.end(ExitReboot) })}
	default:
		s.phases = append(m.goDown(mode != machineapi.RebootRequest_POWERCYCLE), reboot)
	}
	return m.startSequence(s)
}

// Shutdown starts the shutdown sequence and returns its actor ID. Without
// force Talos cordons and drains the node first, while the VIP stays; nothing is
// scheduled on the lab's nodes, so that their drain is over at once.
func (m *machine) Shutdown(force bool) string {
	phases := []phase{one("storeShutdown", "storeShutdown", nothing)}
	if !force {
		phases = append(phases, one("drain", "cordonAndDrainNode", m.cordon))
	}
	phases = append(phases, m.goDown(false)...)
	phases = append(phases, one("shutdown", "shutdown", func(context.Context) { m.end(ExitPowerOff) }))
	return m.startSequence(sequence{
		name: "shutdown", stage: runtime.MachineStageShuttingDown, down: true, phases: phases,
		takeOver: []string{"initialize", "boot", "reboot", "reset", "upgrade", "shutdown"},
	})
}

// startSequence lets the sequence run: the API's answer only means accepted.
func (m *machine) startSequence(s sequence) (actor string) {
	actor = uuid.NewString()
	m.journal.printf("%s via API received. actor id: %s", s.name, actor)
	go m.perform(context.Background(), s, actor)
	return actor
}

// goDown returns the phases of an orderly end up to the last one (Talos
// v1.13.9 internal/app/machined/pkg/runtime/v1alpha1/v1alpha1_sequencer.go).
// The VIP is let go in the first step of the first phase, while etcd runs. The
// API stays until stopEverything.
func (m *machine) goDown(kexec bool) []phase {
	phases := []phase{
		one("cleanup", "stopAllPods", m.stopAllPods),
		one("dbus", "stopDBus", nothing),
		one("stopServices", "stopServicesForUpgrade", m.stopServices),
	}
	if m.cfg.release().UnmountsUserDisks() {
		phases = append(phases, one("unmountUser", "unmountUserDisks", nothing))
	}
	phases = append(phases,
		one("umount", "unmountPodMounts", nothing),
		one("unmountBind", "unmountSystemDiskBindMounts", nothing),
		one("unmountSystem", "unmountEphemeralPartition", nothing),
		one("volumeFinalize", "teardownLifecycle", nothing),
	)
	if kexec {
		phases = append(phases, one("kexec", "kexecPrepare", nothing))
	}
	return append(phases, one("stopEverything", "stopAllServices", m.stopAllServices))
}

// stopAllPods makes the VIP operators let go, waits for them, and stops the
// kubelet, which says so to Kubernetes, and its pods.
func (m *machine) stopAllPods(ctx context.Context) {
	m.tearDownLifecycle(ctx)
	m.noticeShutdown(ctx)
	m.kubelet.stop()
	m.apiserver.stop()
}

// tearDownLifecycle waits up to finalizersTimeout; that it failed is logged
// and stops nothing.
func (m *machine) tearDownLifecycle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, finalizersTimeout)
	defer cancel()
	ptr := lifecycle()
	if _, err := m.state.Teardown(ctx, ptr); err != nil {
		if !state.IsNotFoundError(err) {
			m.log.Printf("tear the kubelet's lifecycle down: %v", err)
		}
		return
	}
	if _, err := m.state.WatchFor(ctx, ptr, state.WithFinalizerEmpty()); err != nil {
		m.log.Printf("wait for the kubelet's lifecycle finalizers: %v", err)
	}
}

// stopServices stops what runs on the disk.
func (m *machine) stopServices(context.Context) {
	m.stopEtcd()
	m.services.stop("trustd")
	m.services.stop("cri")
}

// stopAllServices stops the rest, the API last.
func (m *machine) stopAllServices(context.Context) {
	m.operators.stop()
	m.services.stop("udevd")
	m.services.stop("containerd")
	m.leave()
	time.Sleep(m.linger)
}

// lingerTime is how long a machine that goes down in order still refuses
// connections after its API is gone, as Talos does while it unmounts and syncs.
// A stock talosctl that follows a reboot asks again a second after its last
// event, and must not find silence then: it would wait for half a minute.
const lingerTime = 1500 * time.Millisecond

// leave says the last word and closes the API.
func (m *machine) leave() {
	m.events.Publish(&machineapi.RestartEvent{Cmd: restartCommand}, "")
	m.services.stop("apid")
	time.Sleep(flushTime)
	m.api.stop()
}

// restartCommand is LINUX_REBOOT_CMD_RESTART of reboot(2).
const restartCommand = 0x1234567

// dropEverything is a forced reboot: etcd and the pods are told to end at the
// same moment, and get killAfter for it; then the controllers. An owner lets
// go when the etcd service is gone, and whether its resignation still reaches
// etcd is a race, as on Talos.
func (m *machine) dropEverything() {
	m.services.stop("machined")
	var wg sync.WaitGroup
	wg.Go(m.stopEtcd)
	wg.Go(func() { m.kubelet.stop(); m.apiserver.stop() })
	wg.Go(m.leave)
	wg.Wait()
	m.operators.stop()
}

//go:build linux

package node

import (
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// hold makes the kubelet crash and keeps it from coming back, or lets it. Its
// lifecycle stays as it is, for nobody tore it down, and so do its pods; but
// their statuses are gone, which makes an owner of a VIP let go. The owner may
// win again.
func (k *kubelet) hold(on bool) {
	if !on {
		k.mu.Lock()
		k.held = false
		k.mu.Unlock()
		if !k.m.sequencer.goingDown() {
			k.start()
		}
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = true
	if !k.running {
		return
	}
	k.running = false
	k.unregister()
	k.crashed()
	k.forgetPod()
	k.dropOthers()
	k.setPod("kubelet is not running")
}

// crashed shows a kubelet that fails at each start.
func (k *kubelet) crashed() {
	k.m.services.set("kubelet", machineapi.ServiceStateEvent_WAITING,
		"Error running Containerd(kubelet), going to restart forever: task \"kubelet\" failed: exit code 1", healthUnknown)
}

// withdraw takes the apiserver's static pod away, process and status, or gives
// it back. Nothing is not ready then: Talos's check looks at the pods that are
// there (v1.13.9 internal/app/machined/pkg/controllers/runtime/machine_status.go).
func (k *kubelet) withdraw(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.absent = on
	switch {
	case on:
		k.forgetPod()
		k.setPod("")
		k.m.apiserver.stop()
	case k.running && k.cancel == nil:
		k.runPod()
	}
}

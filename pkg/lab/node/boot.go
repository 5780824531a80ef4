//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/google/uuid"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// bootMark tells one boot of the machine from another.
type bootMark struct {
	Time uint64 // seconds of Unix time, later than that of every boot before
	ID   string
}

// markBoot notes a new boot on the node's disk. A machine that boots within
// the second of its boot before gets the next second.
func markBoot(dir string, now time.Time) (bootMark, error) {
	path := filepath.Join(dir, "boot-time")
	mark := bootMark{Time: uint64(now.Unix()), ID: uuid.NewString()}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mark, err
	}
	if last, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil && mark.Time <= last {
		mark.Time = last + 1
	}
	if err := os.WriteFile(path, fmt.Appendln(nil, mark.Time), 0o600); err != nil {
		return mark, err
	}
	return mark, nil
}

// bootSequence brings the machine up: Talos's initialize and boot, without
// what they do to disks.
func (m *machine) bootSequence(ctx context.Context) {
	if m.maintenance {
		m.maintenanceSequence(ctx)
		return
	}
	m.publishStatic()
	m.perform(ctx, sequence{name: "initialize", stage: runtime.MachineStageBooting, phases: []phase{
		one("config", "loadConfig", func(context.Context) { m.services.start("machined") }),
	}}, "")
	if ctx.Err() != nil || m.sequencer.goingDown() {
		return
	}
	boot := sequence{name: "boot", stage: runtime.MachineStageBooting, after: runtime.MachineStageRunning, phases: []phase{
		one("containerd", "startContainerd", func(context.Context) { m.services.start("containerd") }),
		one("udevd", "startUdevd", func(context.Context) { m.services.start("udevd") }),
		one("startEverything", "startAllServices", m.startAllServices),
	}}
	m.perform(ctx, boot, "")
	ready := func(r resource.Resource) (bool, error) {
		status, ok := r.(*runtime.MachineStatus)
		return ok && status.TypedSpec().Stage == boot.after && status.TypedSpec().Status.Ready, nil
	}
	if _, err := m.state.WatchFor(ctx, runtime.NewMachineStatus().Metadata(), state.WithCondition(ready)); err != nil {
		return
	}
	m.truth.Record(truth.Event{Kind: truth.Booted})
}

// startAllServices starts the rest and waits until its services are up, of
// which etcd is the last.
func (m *machine) startAllServices(ctx context.Context) {
	if err := m.api.start(); err != nil {
		m.log.Printf("start the Talos API: %v", err)
		m.services.set("apid", machineapi.ServiceStateEvent_FAILED, err.Error(), healthBad)
	}
	m.services.start("cri")
	if !m.cfg.Worker {
		m.services.start("trustd")
		m.startEtcd()
	}
	m.kubelet.start()
	m.operators.start()
	if !m.cfg.Worker {
		_, _ = m.state.WatchFor(ctx, v1alpha1.NewService("etcd").Metadata(), state.WithCondition(etcdUp)) // or until it is taken over
	}
}

//go:build linux

package node

import (
	"context"
	"sync"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/etcd"
)

// Talos starts a service that ended by itself again after 5 s
// (internal/app/machined/pkg/system/runner/restart, v1.13.9), and the kubelet
// a container after about 1 s.
const (
	etcdRestartDelay      = 5 * time.Second
	apiserverRestartDelay = time.Second
)

// Talos's timing of etcd's health check (v1.13.9
// internal/app/machined/pkg/system/services/etcd.go), and the lab's own,
// which does not keep a boot waiting.
const (
	healthTimeout    = 15 * time.Second
	talosHealthFirst = 5 * time.Second
	talosHealthEvery = 20 * time.Second
	labHealthUntilUp = 50 * time.Millisecond
	labHealthEvery   = 5 * time.Second
)

// superviseEtcd ties the process to the service that Talos shows.
func (m *machine) superviseEtcd() {
	var mu sync.Mutex
	stopHealth := func() {}
	m.etcd.up = func() {
		m.services.set("etcd", machineapi.ServiceStateEvent_RUNNING, "Started task etcd", healthUnknown)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); m.checkEtcd(ctx) }()
		mu.Lock()
		stopHealth = func() { cancel(); <-done }
		mu.Unlock()
	}
	m.etcd.down = func(wanted bool) {
		mu.Lock()
		stopHealth()
		mu.Unlock()
		if wanted {
			m.services.set("etcd", machineapi.ServiceStateEvent_WAITING, "Error running Containerd(etcd), going to restart forever: task \"etcd\" failed", healthUnknown)
		} else {
			m.services.set("etcd", machineapi.ServiceStateEvent_FINISHED, "Service finished successfully", healthUnknown)
		}
	}
}

// startEtcd makes etcd run.
func (m *machine) startEtcd() {
	m.services.set("etcd", machineapi.ServiceStateEvent_PREPARING, "Running pre state", healthUnknown)
	m.etcd.want()
}

// stopEtcd ends etcd, where there is one; the service counts as gone from the
// moment it is asked.
func (m *machine) stopEtcd() {
	there := func(info *machineapi.ServiceInfo) bool { return info != nil }
	m.services.setIf(there, "etcd", machineapi.ServiceStateEvent_STOPPING, "Sending SIGTERM to task etcd", healthUnknown)
	m.etcd.stop()
}

// checkEtcd keeps the health of a running etcd until the context ends.
func (m *machine) checkEtcd(ctx context.Context) {
	first, untilUp, every := time.Duration(0), labHealthUntilUp, labHealthEvery
	if m.cfg.TalosTiming {
		first, untilUp, every = talosHealthFirst, talosHealthEvery, talosHealthEvery
	}
	everUp := false
	for wait := first; pause(ctx, wait); {
		attempt, cancel := context.WithTimeout(ctx, healthTimeout)
		id, err := m.parts.etcdHealth(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.services.health("etcd", healthBad, err.Error())
		default:
			if !everUp {
				m.publishEtcdMember(id)
			}
			everUp = true
			m.services.health("etcd", healthGood, "Health check successful")
		}
		if wait = untilUp; everUp {
			wait = every
		}
	}
}

func (m *machine) publishEtcdMember(id uint64) {
	put(m, "etcd.MemberController", etcd.NewMember(etcd.NamespaceName, etcd.LocalMemberID), func(r *etcd.Member) {
		r.TypedSpec().MemberID = etcd.FormatMemberID(id)
	})
}

// pause waits, and reports whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/bmc"
	"github.com/vipctl/vipctl/pkg/lab/l2"
	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/node"
	"github.com/vipctl/vipctl/pkg/lab/process"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// crashed begins the detail of a PowerOff event that nobody asked for.
const crashed = "crash: "

// machine is a node's hardware: power, firmware, link and console. Its disk is
// a directory, which outlives every power cut.
//
//	off -> booting -> on -> off (power cut, power-off, crash)
//	          ^------- on (reboot)
type machine struct {
	place    place
	config   string // path of the node.Config
	bootTime time.Duration
	console  *console
	site     site
	mac      net.HardwareAddr

	mu    sync.Mutex // guards following
	power PowerState
	cut   context.CancelFunc // takes the power away; nil when off
	off   chan struct{}      // closed when the power is gone
	run   *boot              // nil unless on
	boots int
}

// site is what machines share.
type site struct {
	truth  truth.Recorder
	events *os.File // write end of the log of true instants
	// segments are the switches of Spec.segments, on each of which a machine's
	// port has the machine's name.
	segments []*l2.Switch
	reaper   *reaper
	// ended is told that a machine's processes are gone; may be nil.
	ended func(node string)
}

// boot is one life of a machine, from its first process to its last.
type boot struct {
	cmd    *exec.Cmd
	port   *l2.Port   // of the main link
	more   []*l2.Port // of the others
	orders *orders
	frozen bool // guarded by machine.mu
}

// newMachine writes the node's configuration below dir and returns its machine, off.
func newMachine(p place, cfg node.Config, dir string, bootTime time.Duration, s site) (*machine, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the disk of %s: %w", p.Name, err)
	}
	path := filepath.Join(dir, "config.json")
	if err := process.WriteConfig(process.Machine, path, cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	c, err := newConsole(filepath.Join(dir, "console.log"))
	if err != nil {
		return nil, fmt.Errorf("opening the console of %s: %w", p.Name, err)
	}
	return &machine{place: p, config: path, bootTime: bootTime, console: c, site: s,
		mac: p.MAC[:], power: PowerOff}, nil
}

// powerOn switches the machine on; its firmware takes delay. A machine that is
// on stays as it is.
func (m *machine) powerOn(delay time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.power != PowerOff {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.power, m.cut, m.off = PowerBooting, cancel, make(chan struct{})
	m.record(truth.PowerOn, "")
	go m.live(ctx, delay)
}

// powerOff cuts the power: first the link goes silent, then every process is
// killed at once, so that nothing that dies can say so on the wire. When it
// returns, all of them are gone.
func (m *machine) powerOff() {
	m.mu.Lock()
	if m.power == PowerOff {
		m.mu.Unlock()
		return
	}
	if m.run != nil {
		m.silence("power cut")
	}
	m.cut()
	off := m.off
	m.mu.Unlock()
	<-off
}

// ports returns the ports that are attached, the main link's first.
func (b *boot) ports() []*l2.Port {
	if b.port == nil {
		return nil
	}
	return append([]*l2.Port{b.port}, b.more...)
}

// silence cuts every port and says so. The caller holds mu, and the machine is on.
func (m *machine) silence(why string) {
	for _, p := range m.run.ports() {
		p.Cut()
	}
	m.record(truth.LinkCut, why)
	m.forget()
}

// forget makes the machine's next answers news.
func (m *machine) forget() {
	for _, sw := range m.site.segments {
		sw.Forget(m.place.Name)
	}
}

// live takes the machine through its boots until the power is gone.
func (m *machine) live(ctx context.Context, delay time.Duration) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cut()
		m.power, m.cut = PowerOff, nil
		close(m.off)
	}()
	for sleep(ctx, delay) {
		at, err := m.boot(ctx)
		m.forget()
		if m.site.ended != nil {
			m.site.ended(m.place.Name)
		}
		why, again := fate(ctx, err)
		m.site.truth.Record(truth.Event{At: at, Node: m.place.Name, Kind: truth.PowerOff, Detail: why})
		if !again {
			return
		}
		m.mu.Lock()
		m.power = PowerBooting
		m.mu.Unlock()
		m.record(truth.PowerOn, why)
		delay = m.bootTime
	}
	m.record(truth.PowerOff, "power cut") // while the firmware was at work
}

// fate says why the machine's processes ended, and whether it boots again.
func fate(ctx context.Context, err error) (why string, again bool) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return "power cut", false
	case ok && exit.ExitCode() == node.ExitReboot:
		return "reboot", true
	case ok && exit.ExitCode() == node.ExitPowerOff:
		return "power-off", false
	case err == nil:
		return crashed + "exit status 0", false
	default:
		return crashed + err.Error(), false
	}
}

// boot starts the machine's first process, gives it its link, and waits until
// all its processes are gone, at the instant that it returns. Losing ctx kills them.
func (m *machine) boot(ctx context.Context) (at time.Duration, err error) {
	run, link, err := m.start()
	if err != nil {
		return truth.Now(), err
	}
	defer run.orders.close()
	stop := context.AfterFunc(ctx, func() { _ = run.cmd.Process.Kill() })
	defer stop()
	plugged := m.plug(ctx, run, link)
	if plugged != nil {
		_ = run.cmd.Process.Kill()
	}
	err = m.site.reaper.wait(run.cmd)
	at = truth.Now()
	m.mu.Lock()
	m.run = nil
	m.mu.Unlock()
	for _, p := range run.ports() {
		_ = p.Close()
	}
	for i := range m.place.Links {
		_ = netns.Unplug(cable(link, i)) // usually gone with the machine's namespace
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return at, err // what it said itself counts more than a late link
	}
	return at, errors.Join(plugged, err)
}

// start starts the machine's first process in namespaces of its own.
func (m *machine) start() (run *boot, link string, err error) {
	o, control, err := newOrders()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = control.Close() }()
	cmd := process.Self(process.Machine, m.config)
	cmd.Stdout, cmd.Stderr = m.console, m.console
	cmd.ExtraFiles = []*os.File{m.site.events, control} // process.TruthFD, process.ControlFD
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := m.site.reaper.start(cmd); err != nil {
		o.close()
		return nil, "", fmt.Errorf("starting %s: %w", m.place.Name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boots++
	return &boot{cmd: cmd, orders: o}, fmt.Sprintf("%s.%d", m.place.Name, m.boots), nil
}

// state returns the power state and the first process, 0 unless on.
func (m *machine) state() (PowerState, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return m.power, 0
	}
	return m.power, m.run.cmd.Process.Pid
}

// Power says whether the BMC sees power.
func (m *machine) Power() bool {
	state, _ := m.state()
	return state != PowerOff
}

// Reset does what the BMC is told.
func (m *machine) Reset(ctx context.Context, kind bmc.ResetType) error {
	switch kind {
	case bmc.On:
		m.powerOn(m.bootTime)
	case bmc.ForceOff:
		m.powerOff()
	case bmc.ForceRestart, bmc.PowerCycle:
		m.powerOff()
		m.powerOn(m.bootTime)
	case bmc.GracefulShutdown:
		return m.order(ctx, node.Order{ACPI: true})
	default:
		return fmt.Errorf("the BMC knows no reset %s", kind)
	}
	return nil
}

func (m *machine) record(kind truth.Kind, detail string) {
	m.site.truth.Record(truth.Event{Node: m.place.Name, Kind: kind, Detail: detail})
}

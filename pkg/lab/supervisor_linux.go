package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/pkg/lab/bmc"
	"github.com/vipctl/vipctl/pkg/lab/l2"
	"github.com/vipctl/vipctl/pkg/lab/netns"
	"github.com/vipctl/vipctl/pkg/lab/node"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// workstationName is the host name, and the switch port, of the workstation.
const workstationName = "workstation"

// supervisor is PID 1 of a lab: the kernel ends everything with it.
type supervisor struct {
	spec  Spec
	files files
	ctx   context.Context // ends with the lab
	end   context.CancelFunc

	log         *truth.Log
	sw          *l2.Switch
	reaper      *reaper
	workstation *workstation
	machines    []*machine // in the order of their numbers
	faults      *faults
}

// supervise is the whole life of a supervisor, which was started with a charter.
func supervise(arg string) error {
	var ch charter
	if err := json.Unmarshal([]byte(arg), &ch); err != nil {
		return fmt.Errorf("reading the lab's charter: %w", err)
	}
	ctx, end := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer end()
	dir, err := prepareHost(ch.Keep...)
	if err != nil {
		return err
	}
	host, err := inherited(listenerFD, "listener")
	if err != nil {
		return err
	}
	go func() {
		if !released(os.NewFile(lifelineFD, "lifeline")) {
			end()
		}
	}()
	s := &supervisor{spec: ch.Spec, files: files{dir}, ctx: ctx, end: end, log: &truth.Log{}, reaper: newReaper()}
	if err := s.build(); err != nil {
		return err
	}
	go s.reaper.run(ctx)
	go s.serve(host)
	for _, m := range s.machines {
		m.powerOn(0)
	}
	<-ctx.Done()
	s.killAll()
	return nil
}

// inherited makes a listener of an inherited socket.
func inherited(fd uintptr, name string) (*net.UnixListener, error) {
	f := os.NewFile(fd, name)
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("taking over the lab's socket: %w", err)
	}
	return l.(*net.UnixListener), nil
}

// build makes everything but the nodes' power.
func (s *supervisor) build() error {
	password, err := s.files.write(s.spec, time.Now())
	if err != nil {
		return err
	}
	if err := installSelf(s.files.dir); err != nil {
		return err
	}
	events, err := s.openTruth()
	if err != nil {
		return err
	}
	var watch []netip.AddrPort
	for _, vip := range s.spec.VIPs {
		watch = append(watch, netip.AddrPortFrom(vip, 6443))
	}
	s.sw = l2.New(s.log, watch...)
	s.faults = &faults{spec: s.spec, sw: s.sw, log: s.log, machines: make(map[string]*machine)}
	if err := netns.SetUp("lo"); err != nil {
		return explain(err, sysctl)
	}
	if err := s.buildWorkstation(); err != nil {
		return err
	}
	for _, p := range s.spec.places() {
		if err := s.buildNode(p, events, password); err != nil {
			return err
		}
	}
	return nil
}

// openTruth returns the file to which all processes of the lab write true instants.
func (s *supervisor) openTruth() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the pipe for true instants: %w", err)
	}
	go s.log.ReadLines(r)
	go s.watchTruth()
	return w, nil
}

// watchTruth draws from events what others need to know.
func (s *supervisor) watchTruth() {
	next, stop := s.log.Arrivals()
	defer stop()
	for {
		select {
		case e := <-next:
			switch e.Kind {
			case truth.AddressRemoved:
				s.sw.Forget(e.Node)
			case truth.PowerOn:
				s.faults.poweredOn(e.Node)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// buildWorkstation makes the workstation, and there a second door to the
// supervisor for the commands that run on it.
func (s *supervisor) buildWorkstation() error {
	ns, err := s.host(workstationName, netip.PrefixFrom(host(workstationHost), Network.Bits()), s.spec.mac(workstationHost))
	if err != nil {
		return err
	}
	s.workstation = &workstation{ns: ns, bin: s.files.path("bin"), env: s.files.environment(s.spec), reaper: s.reaper}
	return ns.Do(func() error {
		l, err := listenSocket(s.spec.Name)
		if err != nil {
			return err
		}
		go s.serve(l)
		return nil
	})
}

// host makes a network namespace with a link to the switch.
func (s *supervisor) host(name string, addr netip.Prefix, mac [6]byte) (*netns.Namespace, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, explain(err, sysctl)
	}
	link := fmt.Sprintf("host.%d", addr.Addr().As4()[3])
	if err := netns.Plug(netns.Cable{Name: link, PeerNS: ns, Peer: nodeLink, PeerMAC: mac[:]}); err != nil {
		return nil, explain(err, sysctl)
	}
	if err := ns.Do(func() error { return netns.Configure(nodeLink, addr) }); err != nil {
		return nil, err
	}
	_, err = s.sw.Attach(name, link)
	return ns, err
}

// buildNode makes a node, off, and its BMC.
func (s *supervisor) buildNode(p place, events *os.File, password string) error {
	dir := s.files.node(p.Name)
	var vips []node.VIP
	for _, vip := range s.spec.vipsOf(p.Name) {
		vips = append(vips, node.VIP{Addr: vip, Link: nodeLink})
	}
	cfg := node.Config{
		Cluster: s.spec.Name, Name: p.Name, Link: nodeLink,
		Addr: netip.PrefixFrom(p.Addr, Network.Bits()),
		VIPs: vips, AllVIPs: s.spec.VIPs,
		LeaseTTL: s.spec.LeaseTTL, TalosTiming: s.spec.TalosTiming,
		TalosVersion: s.spec.TalosVersion, KubernetesVersion: KubernetesVersion,
		Dir: dir + "/disk", Secrets: s.files.secrets(),
	}
	for _, q := range s.spec.places() {
		cfg.Peers = append(cfg.Peers, node.Peer{Name: q.Name, Addr: q.Addr})
	}
	m, err := newMachine(p, cfg, dir, s.spec.BootTime,
		site{truth: s.log, events: events, sw: s.sw, reaper: s.reaper, ended: s.faults.ended})
	if err != nil {
		return err
	}
	s.machines = append(s.machines, m)
	s.faults.machines[p.Name] = m
	return s.buildBMC(p, m, password)
}

// buildBMC gives the node a BMC on a port of its own, so that it outlives the
// node's power. The socket keeps its network namespace alive.
func (s *supervisor) buildBMC(p place, m *machine, password string) error {
	ns, err := s.host("bmc-"+p.Name, netip.PrefixFrom(p.BMC, Network.Bits()), s.spec.mac(int(p.BMC.As4()[3])))
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return ns.Do(func() error {
		l, err := net.Listen("tcp", netip.AddrPortFrom(p.BMC, 80).String())
		if err != nil {
			return fmt.Errorf("opening the BMC of %s: %w", p.Name, err)
		}
		server := &http.Server{Handler: bmc.New(p.Name, m, bmcUser, password), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(l) }()
		return nil
	})
}

// killAll kills every process of the lab but this one, and waits until they
// are gone.
func (s *supervisor) killAll() {
	for {
		others := false
		for _, p := range processes() {
			others = others || p.pid != os.Getpid() && p.state != 'Z'
		}
		if !others {
			return
		}
		// PID 1's -1 is every other process of its PID namespace.
		_ = unix.Kill(-1, unix.SIGKILL)
		time.Sleep(time.Millisecond)
	}
}

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
	segments    []*l2.Switch // of all, in the order of Spec.segments
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
	for range s.spec.segments() {
		s.segments = append(s.segments, l2.New(s.log, watch...))
	}
	s.faults = &faults{spec: s.spec, segments: s.segments, log: s.log, machines: make(map[string]*machine)}
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
				for _, sw := range s.segments {
					sw.Forget(e.Node)
				}
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
	ns, err := s.host(workstationName, workstationHost, s.spec.workstation()...)
	if err != nil {
		return err
	}
	if s.spec.Subnets == 2 {
		if err := ns.Do(netns.Forward); err != nil {
			return err
		}
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

// host makes a network namespace with links to the switches. Its number n is
// the host part of its addresses.
func (s *supervisor) host(name string, n int, links ...link) (*netns.Namespace, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, explain(err, sysctl)
	}
	mac := s.spec.mac(n)
	for i, l := range links {
		end := cable(fmt.Sprintf("host.%d", n), i)
		if err := netns.Plug(netns.Cable{Name: end, PeerNS: ns, Peer: l.Name, PeerMAC: mac[:]}); err != nil {
			return nil, explain(err, sysctl)
		}
		if err := ns.Do(func() error { return netns.Configure(l.Name, l.Addrs...) }); err != nil {
			return nil, err
		}
		if _, err := s.segments[l.Segment].Attach(name, end); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

// buildNode makes a node, off, and its BMC.
func (s *supervisor) buildNode(p place, events *os.File, password string) error {
	dir := s.files.node(p.Name)
	cfg := node.Config{
		Cluster: s.spec.Name, Name: p.Name, Worker: p.Worker,
		Link: p.Links[0].Name, Addr: p.Links[0].Addrs[0], Gateways: s.spec.gateways(p),
		VIPs: s.spec.vipsOf(p), AllVIPs: s.spec.VIPs, ConfigStyle: s.spec.configStyle(),
		LeaseTTL: s.spec.LeaseTTL, TalosTiming: s.spec.TalosTiming,
		TalosVersion: s.spec.TalosVersion, KubernetesVersion: KubernetesVersion,
		Dir: dir + "/disk", Secrets: s.files.secrets(), KubeAPIServer: s.spec.KubeAPIServer,
		NoKubePrism: s.spec.NoKubePrism, Endpoint: s.spec.Endpoint,
	}
	for _, l := range p.Links {
		cfg.Links = append(cfg.Links, l.Link)
	}
	for _, q := range s.spec.places() {
		if peer := (node.Peer{Name: q.Name, Addr: q.Addr}); q.Worker {
			cfg.Workers = append(cfg.Workers, peer)
		} else {
			cfg.Peers = append(cfg.Peers, peer)
		}
	}
	m, err := newMachine(p, cfg, dir, s.spec.BootTime,
		site{truth: s.log, events: events, segments: s.segments, reaper: s.reaper, ended: s.faults.ended})
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
	ns, err := s.host("bmc-"+p.Name, int(p.BMC.As4()[3]),
		link{Link: node.Link{Name: nodeLink, Addrs: []netip.Prefix{netip.PrefixFrom(p.BMC, Network.Bits())}}})
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

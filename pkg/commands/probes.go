package commands

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/vipctl/vipctl/pkg/chaos"
	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/kube"
	"github.com/vipctl/vipctl/pkg/outage"
	"github.com/vipctl/vipctl/pkg/probe"
	"github.com/vipctl/vipctl/pkg/report"
)

// learnPause is the time between two looks at which certificate a node serves
// with: Talos makes a new one at boot, and when a node first gains the VIP.
const learnPause = time.Second

// probes are the probers of one drill: new TCP connections and /readyz on the
// VIP, and TCP on each node's own address, so that a pause of a server is not
// blamed on the VIP.
type probes struct {
	list []*running
	wg   sync.WaitGroup
}

// running is one prober with what it has seen.
type running struct {
	Name     string
	Target   netip.AddrPort
	recorder probe.Recorder
}

// startProbes starts every prober; they run until ctx ends.
func (r *failoverRun) startProbes(ctx context.Context, snap *cluster.Snapshot) *probes {
	p := &probes{}
	hosts := r.hosts(snap)
	p.wg.Go(func() { r.learn(ctx, snap, hosts) })
	at := netip.AddrPortFrom(r.vip, kube.Port)
	r.start(ctx, p, "tcp", at, &probe.TCP{Addr: at})
	r.start(ctx, p, "https", at, &probe.HTTPS{
		Addr: at, TLS: r.look.kube.ProbeTLS(), Hosts: hosts, Authenticated: r.look.kube.Authenticated(),
	})
	for _, n := range snap.Nodes {
		at := netip.AddrPortFrom(n.Addr, kube.Port)
		r.start(ctx, p, "tcp "+n.Name, at, &probe.TCP{Addr: at})
	}
	return p
}

func (r *failoverRun) start(ctx context.Context, p *probes, name string, at netip.AddrPort, prober probe.Prober) {
	one := &running{Name: name, Target: at}
	p.list = append(p.list, one)
	pacer := probe.Pacer{Interval: r.opts.Interval, Timeout: r.opts.Timeout}
	p.wg.Go(func() { probe.Run(ctx, r.clock, pacer, prober, one.recorder.Add) })
}

// hosts are the certificates that the nodes served with when the snapshot was
// taken.
func (r *failoverRun) hosts(snap *cluster.Snapshot) *probe.Hosts {
	hosts := &probe.Hosts{}
	for _, n := range snap.Nodes {
		if f, ok := probe.ParseFingerprint(n.APIServer.Value().Certificate.Fingerprint); ok {
			hosts.Learn(f, n.Name)
		}
	}
	return hosts
}

// learn keeps up with the certificates that the nodes serve with.
func (r *failoverRun) learn(ctx context.Context, snap *cluster.Snapshot, hosts *probe.Hosts) {
	ticker := time.NewTicker(learnPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, n := range snap.Nodes {
			asking, cancel := context.WithTimeout(ctx, r.opts.Timeout)
			cert, err := probe.ServingCertificate(asking, netip.AddrPortFrom(n.Addr, kube.Port))
			cancel()
			if err == nil { // a node that is down has nothing to teach
				hosts.Learn(probe.FingerprintOf(cert), n.Name)
			}
		}
	}
}

// headline is the prober whose outage is the drill's: new TCP connections to
// the VIP.
func (p *probes) headline() *running { return p.list[0] }

// readyz is the prober of /readyz on the VIP.
func (p *probes) readyz() *running { return p.list[1] }

// wait returns when every sample is in, after ctx has ended.
func (p *probes) wait() { p.wg.Wait() }

// measure judges what the prober saw of the drill.
func (one *running) measure(out chaos.Outcome, opts *failoverOptions) outage.Measurement {
	return outage.Measure(one.recorder.Samples(), outage.Config{
		Fault: out.FaultAt, Settle: opts.Settle, Interval: opts.Interval, Timeout: opts.Timeout,
	})
}

// report is what each prober measured.
func (p *probes) report(out chaos.Outcome, opts *failoverOptions) []report.Probe {
	var docs []report.Probe
	for _, one := range p.list {
		docs = append(docs, report.NewProbe(one.Name, one.Target.String(), one.measure(out, opts), out.FaultAt))
	}
	return docs
}

// sampleLine is a sample in samples.ndjson.
type sampleLine struct {
	Drill       int     `json:"drill"` // from 1
	Probe       string  `json:"probe"`
	SentSeconds float64 `json:"sentSeconds"` // on the run's clock
	DoneSeconds float64 `json:"doneSeconds"`
	Result      string  `json:"result"`
	By          string  `json:"by,omitempty"`
	Suspect     bool    `json:"suspect,omitempty"`
}

// lines are all samples, for the file that keeps them.
func (p *probes) lines(drill int) []any {
	var lines []any
	for _, one := range p.list {
		for _, s := range one.recorder.Samples() {
			lines = append(lines, sampleLine{
				Drill: drill, Probe: one.Name, SentSeconds: s.Sent.Seconds(), DoneSeconds: s.Done.Seconds(),
				Result: s.Result.String(), By: s.By, Suspect: s.Suspect,
			})
		}
	}
	return lines
}

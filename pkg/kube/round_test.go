package kube

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/vip"
)

// plane is a control plane on loopback addresses: two nodes, and a VIP that
// the second answers for.
type plane struct {
	client  *Client
	nodes   [2]netip.Addr
	vip     netip.Addr
	kube    [2]string // fingerprints
	apid    [2]string
	silence func(net.Conn) // what the VIP's port 6443 does, nil: it serves
}

func (p *plane) up(t *testing.T) {
	t.Helper()
	p.nodes, p.vip = [2]netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}, netip.MustParseAddr("127.0.0.4")
	p.client = newClient(t, &Config{}, 3*time.Second)
	port := func(of *uint16, addr netip.Addr, cert tls.Certificate, auth tls.ClientAuthType) {
		*of = present(t, netip.AddrPortFrom(addr, *of).String(), &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: auth}).Port()
	}
	p.client.port, p.client.talosPort = 0, 0
	for i, addr := range p.nodes {
		server, apid := mint(t), mint(t)
		p.kube[i], p.apid[i] = Fingerprint(server.Leaf), Fingerprint(apid.Leaf)
		port(&p.client.port, addr, server, tls.RequestClientCert)
		port(&p.client.talosPort, addr, apid, tls.RequireAndVerifyClientCert)
		if i == 0 {
			continue
		}
		port(&p.client.talosPort, p.vip, apid, tls.RequireAndVerifyClientCert)
		if p.silence == nil {
			port(&p.client.port, p.vip, server, tls.RequestClientCert)
			continue
		}
		l, err := net.Listen("tcp", netip.AddrPortFrom(p.vip, p.client.port).String())
		if err != nil {
			t.Skip(err)
		}
		serveOn(t, l, p.silence)
	}
}

func (p *plane) snapshot() *cluster.Snapshot {
	return &cluster.Snapshot{
		Nodes: []cluster.Node{{Name: "cp-1", Addr: p.nodes[0]}, {Name: "cp-2", Addr: p.nodes[1]}, {Name: "cp-3"}},
		VIPs:  []cluster.VIP{{Addr: p.vip}},
	}
}

func TestRoundNamesWhoAnswers(t *testing.T) {
	p := &plane{}
	p.up(t)
	snap := p.snapshot()
	round := p.client.Round(t.Context(), Handshake)
	round.VIP(p.vip) // before the nodes are known
	round.Node(p.nodes[0])
	round.Node(p.nodes[0])
	round.Fill(snap)
	for i, want := range p.kube {
		if got := snap.Nodes[i].APIServer.Value(); got.Certificate.Fingerprint != want || got.Error != "" {
			t.Errorf("apiserver of node %d = %+v; want the certificate %s", i, got, want)
		}
		if snap.Nodes[i].Apid.Err() != "not asked" {
			t.Errorf("apid of node %d = %+v; want it not asked: the VIP's apiserver answers", i, snap.Nodes[i].Apid)
		}
	}
	if got := snap.VIPs[0].APIServer.Value().Certificate.Fingerprint; got != p.kube[1] {
		t.Errorf("the VIP's certificate = %s; want that of the second node, %s", got, p.kube[1])
	}
	if snap.Nodes[2].APIServer.Known() || snap.Nodes[2].APIServer.Err() == "not asked" {
		t.Errorf("a node without an address has the apiserver %+v; want the reason why not", snap.Nodes[2].APIServer)
	}
}

func TestRoundFallsBackToApid(t *testing.T) {
	hangs, hangsUp := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, func(c net.Conn) { _ = c.Close() }
	for name, tt := range map[string]struct {
		silence func(net.Conn)
		late    bool // the first node is named once the others' apid is asked
	}{
		"the VIP hangs":    {hangs, false},
		"the VIP hangs up": {hangsUp, false},
		"the VIP hangs up, and a node is found later": {hangsUp, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plane{silence: tt.silence}
			p.up(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // less than a look may take
			defer cancel()
			snap := p.snapshot()
			begun := time.Now()
			round := p.client.Round(ctx, Handshake)
			if !tt.late {
				round.Node(p.nodes[0])
			}
			round.VIP(p.vip)
			for tt.late && !round.fellBack() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			round.Fill(snap)
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("it took %s; want an end with its context after 1 s", took)
			}
			for i, want := range p.apid {
				if got := snap.Nodes[i].Apid; got.Value().Fingerprint != want {
					t.Errorf("apid of node %d = %+v; want %s", i, got, want)
				}
			}
			v := snap.VIPs[0]
			if v.Apid.Value().Fingerprint != p.apid[1] || v.APIServer.Value().Error == "" {
				t.Errorf("the VIP = %+v; want the apid of the second node, %s, and why the apiserver is silent", v, p.apid[1])
			}
		})
	}
}

func (r *Round) fellBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mute
}

func TestRoundLooksAtEachOnce(t *testing.T) {
	p := &plane{}
	p.up(t)
	round := p.client.Round(t.Context(), Handshake)
	for range 2 {
		round.Node(p.nodes[0])
		round.VIP(p.vip)
	}
	node, vip := round.nodes[p.nodes[0]], round.vips[p.vip]
	round.Node(p.nodes[0])
	round.VIP(p.vip)
	round.Fill(p.snapshot())
	if round.nodes[p.nodes[0]] != node || round.vips[p.vip] != vip {
		t.Error("who was named twice was looked at twice; want once")
	}
}

func TestRoundWholeAsksForReadiness(t *testing.T) {
	_, at := serve(t, http.NotFound)
	c := newClient(t, &Config{}, 5*time.Second)
	c.port = at.Port()
	snap := &cluster.Snapshot{Nodes: []cluster.Node{{Name: "cp-1", Addr: at.Addr()}}}
	c.Round(t.Context(), Whole).Fill(snap)
	if got := snap.Nodes[0].APIServer.Value(); !got.Answered || got.Status != 404 {
		t.Errorf("apiserver = %s; want its status, 404", fmt.Sprintf("%+v", got))
	}
}

// A VIP may be taken for a node until somebody tells that it is one. Whichever
// comes first, its certificate names the node that answers there, and nobody else.
func TestRoundOfAVIPTakenForANode(t *testing.T) {
	for name, silence := range map[string]func(net.Conn){"the apiserver answers": nil, "only apid answers": func(c net.Conn) { _ = c.Close() }} {
		p := &plane{silence: silence}
		p.up(t)
		asNode, asVIP := (*Round).Node, (*Round).VIP
		for i, order := range [][]func(*Round, netip.Addr){{asNode, asVIP}, {asVIP, asNode}, {asNode}} {
			snap := p.snapshot()
			round := p.client.Round(t.Context(), Handshake)
			for _, named := range order {
				named(round, p.vip)
			}
			round.Node(p.nodes[0])
			round.Fill(snap)
			var said []string
			for _, c := range snap.Claims(p.vip) {
				if c.Witness == vip.Certificate {
					said = append(said, c.Owner+c.Stranger)
				}
			}
			if len(said) != 1 || said[0] != "cp-2" {
				t.Errorf("%s, order %d: the certificate names %q; want cp-2", name, i, said)
			}
		}
	}
}

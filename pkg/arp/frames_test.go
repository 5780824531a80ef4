package arp

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/ipv6"
)

func TestARPQuestion(t *testing.T) {
	c := newCable(nil)
	w, err := newARPWire(c, ourHW, self, vip)
	if err != nil || w.ask() != nil {
		t.Fatal(err)
	}
	want := slices.Concat(everyone, ourHW, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, ourHW, self.AsSlice(), noHW, vip.AsSlice(), make([]byte, 18))
	if !bytes.Equal(c.sent, want) {
		t.Errorf("the question =\n%x; want\n%x", c.sent, want)
	}
}

func TestWhoAnARPFrameNames(t *testing.T) {
	tests := map[string]struct {
		frame []byte
		want  net.HardwareAddr
	}{
		"an answer to us":                              {reply(cp1HW), cp1HW},
		"an answer to all":                             {reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) { f.Destination = everyone }), cp1HW},
		"a gratuitous request, as Talos sends it":      {frame(arp.OperationRequest, cp1HW, vip, cp1HW, vip, func(f *ethernet.Frame, _ *arp.Packet) { f.Destination = everyone }), cp1HW},
		"the owner asks for somebody with the address": {frame(arp.OperationRequest, cp1HW, vip, everyone, self.Next()), cp1HW},
		"another Ethernet source than the sender":      {reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) { f.Source = cp2HW }), cp1HW},
		"bytes after the packet":                       {append(reply(cp1HW), 1, 2, 3), cp1HW},

		"an answer for another address":         {frame(arp.OperationReply, cp1HW, vip.Next(), ourHW, self), nil},
		"an answer to somebody else":            {reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) { f.Destination = cp2HW }), nil},
		"somebody asks for the address":         {frame(arp.OperationRequest, cp1HW, self.Next(), everyone, vip), nil},
		"somebody looks if the address is free": {frame(arp.OperationRequest, cp1HW, netip.IPv4Unspecified(), everyone, vip), nil},
		"our own":                               {reply(ourHW), nil},
		"a broadcast address as sender":         {reply(everyone), nil},
		"a multicast address as sender":         {reply(hardware("01:00:5e:00:00:01")), nil},
		"no sender":                             {reply(noHW), nil},
		"a VLAN's":                              {reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) { f.VLAN = &ethernet.VLAN{ID: 7} }), nil},
		"a VLAN's in a VLAN": {reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) {
			f.VLAN, f.ServiceVLAN = &ethernet.VLAN{ID: 7}, &ethernet.VLAN{ID: 8}
		}), nil},
		"reverse ARP":              {reply(cp1HW, func(_ *ethernet.Frame, p *arp.Packet) { p.Operation = 4 }), nil},
		"not Ethernet inside":      {reply(cp1HW, func(_ *ethernet.Frame, p *arp.Packet) { p.HardwareType = 6 }), nil},
		"not IPv4 inside":          {reply(cp1HW, func(_ *ethernet.Frame, p *arp.Packet) { p.ProtocolType = 0x86dd }), nil},
		"a short hardware address": {reply(cp1HW, func(_ *ethernet.Frame, p *arp.Packet) { p.HardwareAddrLength = 4 }), nil},
		"IPv6 addresses in ARP":    {reply(cp1HW, func(_ *ethernet.Frame, p *arp.Packet) { p.IPLength = 16 }), nil},
		"not ARP":                  {reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) { f.EtherType = ethernet.EtherTypeIPv4 }), nil},
		"cut off in the middle":    {reply(cp1HW)[:30], nil},
		"nothing":                  {nil, nil},
	}
	for name, tt := range tests {
		if got := senderOf(tt.frame, ourHW, vip); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: senderOf(%x) = %v; want %v", name, tt.frame, got, tt.want)
		}
	}
}

var (
	vip6  = netip.MustParseAddr("fd00::5:50")
	self6 = netip.MustParseAddr("fd00::9")
)

// advertisement is a neighbour advertisement for vip6 with options.
func advertisement(flags byte, options ...byte) []byte {
	return slices.Concat([]byte{136, 0, 0, 0, flags, 0, 0, 0}, vip6.AsSlice(), options)
}

func linkLayer(kind byte, hw net.HardwareAddr) []byte { return append([]byte{kind, 1}, hw...) }

func TestWhoAnAdvertisementNames(t *testing.T) {
	good := advertisement(0x60, linkLayer(2, cp1HW)...)
	altered := func(i int, b byte) []byte {
		m := slices.Clone(good)
		m[i] = b
		return m
	}
	tests := map[string]struct {
		message []byte
		toGroup bool
		want    net.HardwareAddr
	}{
		"an answer":                            {good, false, cp1HW},
		"an answer that overrides nothing":     {advertisement(0x40, linkLayer(2, cp1HW)...), false, cp1HW},
		"an unsolicited one, to all":           {advertisement(0x20, linkLayer(2, cp1HW)...), true, cp1HW},
		"another option before":                {advertisement(0x60, slices.Concat([]byte{14, 1, 1, 2, 3, 4, 5, 6}, linkLayer(2, cp1HW))...), false, cp1HW},
		"two hardware addresses: the first":    {advertisement(0x60, slices.Concat(linkLayer(2, cp1HW), linkLayer(2, cp2HW))...), false, cp1HW},
		"a solicited one to all":               {good, true, nil},
		"one for another address":              {altered(23, 0x51), false, nil},
		"a solicitation":                       {altered(0, 135), false, nil},
		"another code":                         {altered(1, 1), false, nil},
		"no option":                            {advertisement(0x60), false, nil},
		"a source's address only":              {advertisement(0x60, linkLayer(1, cp1HW)...), false, nil},
		"our own":                              {advertisement(0x60, linkLayer(2, ourHW)...), false, nil},
		"a multicast hardware address":         {advertisement(0x60, linkLayer(2, hardware("33:33:00:00:00:01"))...), false, nil},
		"no hardware address":                  {advertisement(0x60, linkLayer(2, noHW)...), false, nil},
		"an option of no length after it":      {append(slices.Clone(good), 5, 0, 0, 0, 0, 0, 0, 0), false, nil},
		"an option that is longer than it all": {append(slices.Clone(good), 5, 9, 0, 0, 0, 0, 0, 0), false, nil},
		"half an option":                       {append(slices.Clone(good), 5), false, nil},
		"cut off in the middle":                {good[:20], false, nil},
		"nothing":                              {nil, false, nil},
	}
	for name, tt := range tests {
		if got := advertised(tt.message, tt.toGroup, ourHW, vip6); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: advertised(%x) = %v; want %v", name, tt.message, got, tt.want)
		}
	}
}

// packets is a raw ICMPv6 socket to which one message came.
type packets struct {
	message []byte
	cm      *ipv6.ControlMessage
	sent    []byte
	from    *ipv6.ControlMessage
	to      net.Addr
}

func (p *packets) ReadFrom(b []byte) (int, *ipv6.ControlMessage, net.Addr, error) {
	return copy(b, p.message), p.cm, nil, nil
}

func (p *packets) WriteTo(b []byte, cm *ipv6.ControlMessage, to net.Addr) (int, error) {
	p.sent, p.from, p.to = b, cm, to
	return len(b), nil
}
func (p *packets) SetDeadline(time.Time) error { return nil }
func (p *packets) Close() error                { return nil }

func TestSolicitation(t *testing.T) {
	p := &packets{}
	if err := newNDPWire(p, 3, ourHW, self6, vip6).ask(); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat([]byte{135, 0, 0, 0, 0, 0, 0, 0}, vip6.AsSlice(), linkLayer(1, ourHW))
	if !bytes.Equal(p.sent, want) {
		t.Errorf("the question =\n%x; want\n%x", p.sent, want)
	}
	if p.from.HopLimit != 255 || p.from.IfIndex != 3 || !p.from.Src.Equal(self6.AsSlice()) || p.to.String() != "ff02::1:ff05:50%3" {
		t.Errorf("sent from %v to %v; want hop limit 255, link 3, %v to ff02::1:ff05:50", p.from, p.to, self6)
	}
}

func TestAdvertisementsFromAfarAreNotHeard(t *testing.T) {
	tests := map[string]struct {
		cm   *ipv6.ControlMessage
		want net.HardwareAddr
	}{
		"from the segment":      {&ipv6.ControlMessage{HopLimit: 255, IfIndex: 3}, cp1HW},
		"from behind a router":  {&ipv6.ControlMessage{HopLimit: 254, IfIndex: 3}, nil},
		"on another link":       {&ipv6.ControlMessage{HopLimit: 255, IfIndex: 4}, nil},
		"solicited, but to all": {&ipv6.ControlMessage{HopLimit: 255, IfIndex: 3, Dst: net.IPv6linklocalallnodes}, nil},
		"from nobody knows":     {nil, nil},
	}
	for name, tt := range tests {
		p := &packets{message: advertisement(0x60, linkLayer(2, cp1HW)...), cm: tt.cm}
		if got, announced, err := newNDPWire(p, 3, ourHW, self6, vip6).hear(); err != nil || announced || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: hear = %v, %v, %v; want %v, unannounced", name, got, announced, err, tt.want)
		}
	}
	p := &packets{message: advertisement(0x20, linkLayer(2, cp1HW)...), cm: &ipv6.ControlMessage{HopLimit: 255, IfIndex: 3, Dst: net.IPv6linklocalallnodes}}
	if got, announced, err := newNDPWire(p, 3, ourHW, self6, vip6).hear(); err != nil || !announced || !bytes.Equal(got, cp1HW) {
		t.Errorf("unsolicited, to all: hear = %v, %v, %v; want %v, announced", got, announced, err, cp1HW)
	}
}

// wantMachine fails where a decoder names what can be no machine.
func wantMachine(t *testing.T, hw net.HardwareAddr, data []byte) {
	if hw != nil && (len(hw) != 6 || hw[0]&1 == 1 || bytes.Equal(hw, noHW) || bytes.Equal(hw, ourHW) || !bytes.Contains(data, hw)) {
		t.Errorf("%x names %v", data, hw)
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(reply(cp1HW))
	f.Add(frame(arp.OperationRequest, cp2HW, vip, everyone, vip))
	f.Add(reply(cp1HW, func(f *ethernet.Frame, _ *arp.Packet) { f.VLAN = &ethernet.VLAN{ID: 7} }))
	f.Add(reply(cp1HW, func(_ *ethernet.Frame, p *arp.Packet) { p.HardwareAddrLength = 255 }))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		hw := senderOf(data, ourHW, vip)
		wantMachine(t, hw, data)
		if hw != nil && !bytes.Contains(data, append(slices.Clone(hw), vip.AsSlice()...)) {
			t.Errorf("%x names %v for %v, and does not hold both", data, hw, vip)
		}
	})
}

func FuzzParseNA(f *testing.F) {
	f.Add(advertisement(0x60, linkLayer(2, cp1HW)...), false)
	f.Add(advertisement(0x20, slices.Concat(linkLayer(1, cp2HW), linkLayer(2, cp1HW))...), true)
	f.Add(advertisement(0x60, 5, 0), false)
	f.Add([]byte{136}, false)
	f.Fuzz(func(t *testing.T, data []byte, toGroup bool) {
		hw := advertised(data, toGroup, ourHW, vip6)
		wantMachine(t, hw, data)
		if hw != nil && !bytes.Contains(data, vip6.AsSlice()) {
			t.Errorf("%x names %v for %v, and does not hold it", data, hw, vip6)
		}
	})
}

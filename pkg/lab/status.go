package lab

// PowerState is what a node's power is doing.
type PowerState string

// The power states.
const (
	PowerOn      PowerState = "on"      // its processes run
	PowerBooting PowerState = "booting" // powered, firmware still at work
	PowerOff     PowerState = "off"
)

// Status is a lab at one moment.
type Status struct {
	Name            string      `json:"name"`
	Ready           bool        `json:"ready"` // every node booted and every VIP held once
	VIPs            []VIPStatus `json:"vips"`
	LeaseTTLSeconds float64     `json:"leaseTTLSeconds"`
	BootTimeSeconds float64     `json:"bootTimeSeconds"`
	TalosTiming     bool        `json:"talosTiming"`
	TalosVersion    string      `json:"talosVersion"`
	ConfigStyle     string      `json:"configStyle"` // legacy or documents
	// Segments are the lab's networks, the main one first.
	Segments []SegmentStatus `json:"segments"`
	Nodes    []NodeStatus    `json:"nodes"`
	// Faults are those that are no single node's: of the network or of every node.
	Faults []string `json:"faults"`
	// Dir is the directory of the lab's files, which only processes in the lab see.
	Dir string `json:"dir"`
}

// VIPStatus says which nodes hold a VIP's address, by their own log.
type VIPStatus struct {
	Address string   `json:"address"`
	Holders []string `json:"holders"`
	// Eligible are the nodes that can win it: control planes that have it
	// configured on a link that is there.
	Eligible []string `json:"eligible"`
	// Note says what is odd about the VIP's place, such as that no node can hold it.
	Note string `json:"note,omitempty"`
}

// SegmentStatus is one of the lab's Ethernet segments.
type SegmentStatus struct {
	Name    string   `json:"name"`
	Subnets []string `json:"subnets"`
	VLAN    uint16   `json:"vlan,omitempty"`
}

// LinkStatus is a link of a node with the node's own addresses on it.
type LinkStatus struct {
	Name      string   `json:"name"`
	Segment   string   `json:"segment"`
	Addresses []string `json:"addresses"`
}

// The roles of a node.
const (
	RoleControlPlane = "controlplane"
	RoleWorker       = "worker"
)

// NodeStatus is a node at one moment.
type NodeStatus struct {
	Name    string     `json:"name"`
	Role    string     `json:"role"` // RoleControlPlane or RoleWorker
	Address string     `json:"address"`
	BMC     string     `json:"bmc"`
	Power   PowerState `json:"power"`
	PID     int        `json:"pid,omitempty"` // of its first process, in the lab
	VIPs    []string   `json:"vips"`          // that it holds
	// VIPLinks are the links that VIPs are configured on, by VIP.
	VIPLinks map[string]string `json:"vipLinks,omitempty"`
	Links    []LinkStatus      `json:"links"`
	Faults   []string          `json:"faults"`
}

// segmentStatus is what never changes of a Status's segments.
func (s Spec) segmentStatus() (all []SegmentStatus) {
	for _, seg := range s.segments() {
		st := SegmentStatus{Name: seg.Name, VLAN: seg.VLAN, Subnets: []string{seg.IPv4.String()}}
		if s.hasIPv6() {
			st.Subnets = append(st.Subnets, seg.IPv6.String())
		}
		all = append(all, st)
	}
	return all
}

// nodeStatus is what never changes of a node.
func (s Spec) nodeStatus(p place) NodeStatus {
	n := NodeStatus{Name: p.Name, Role: RoleControlPlane, Address: p.Addr.String(), BMC: p.BMC.String()}
	if p.Worker {
		n.Role = RoleWorker
	}
	for _, l := range p.Links {
		st := LinkStatus{Name: l.Name, Segment: s.segments()[l.Segment].Name}
		for _, a := range l.Addrs {
			st.Addresses = append(st.Addresses, a.String())
		}
		n.Links = append(n.Links, st)
	}
	for _, vip := range s.vipsOf(p) {
		if n.VIPLinks == nil {
			n.VIPLinks = make(map[string]string)
		}
		n.VIPLinks[vip.Addr.String()] = vip.Link
	}
	return n
}

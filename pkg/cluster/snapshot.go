// Package cluster is what was seen of a Talos control plane at one moment. A
// Snapshot is plain data: it is collected by the adapters, judged by checks,
// and can be saved and read back. It never holds a secret.
package cluster

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Version and kind of a saved snapshot.
const (
	APIVersion = "vipctl.dev/v1alpha1"
	Kind       = "Snapshot"
)

// Snapshot is one look at a cluster.
type Snapshot struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	TakenAt    time.Time `json:"takenAt"`
	// Context is the talosconfig context, "" where none was named.
	Context string `json:"context,omitempty"`
	// Endpoints are the endpoints of the talosconfig, or of --endpoints, as
	// written, with the addresses they resolve to.
	Endpoints []Endpoint `json:"endpoints"`
	// Forwarded says that the context reaches the nodes through a proxy only, such
	// as Omni. Then whoever looked is as a rule not in the nodes' network: those
	// who answer at the nodes' addresses and the VIPs from here may be nobody, or
	// another network's, and count only as far as they are known to be a node.
	Forwarded bool `json:"forwarded,omitempty"`
	// Named are the nodes that the talosconfig or --nodes calls by a name, with
	// the addresses it resolves to.
	Named []Endpoint `json:"named,omitempty"`
	// Nodes are the control-plane nodes, all of them, whatever the
	// talosconfig's nodes say; in the order of their names.
	Nodes []Node `json:"nodes"`
	// VIPs are the virtual IPs of the cluster: those that any node has
	// configured, and those that were asked for by hand; in ascending order.
	VIPs []VIP `json:"vips"`
	// NoKubeconfig is why the kubeconfig of the environment could not be used to ask
	// kube-apiservers, "" where it could, where none was named, or none was needed. It
	// tells nothing of what the file holds.
	NoKubeconfig string `json:"noKubeconfig,omitempty"`
	// LeaseTTL is the lease of a VIP's owner in seconds, as whoever looked was told
	// by hand; 0 is Talos's own.
	LeaseTTL float64 `json:"leaseTTLSeconds,omitempty"`
	// EtcdLaterAfter is how many seconds after Node.Etcd its EtcdLater was
	// asked for, 0 where it was not.
	EtcdLaterAfter float64 `json:"etcdLaterAfterSeconds,omitempty"`
	// Earlier is the sighting that made somebody look again, nil where one was
	// enough. It has no Earlier itself.
	Earlier *Snapshot `json:"earlier,omitempty"`
}

// Endpoint is an address, or a name of some, that the talosconfig says to dial.
type Endpoint struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Error is why it could not be resolved, "" where it was, or need not be.
	Error string `json:"error,omitempty"`
}

// VIP is one virtual IP and what answers on it.
type VIP struct {
	Addr netip.Addr `json:"addr"`
	// APIServer is what answers on port 6443 of the VIP.
	APIServer Seen[APIServer] `json:"apiServer"`
	// Apid is the certificate that apid presents on port 50000 of the VIP. It is
	// asked for only where nobody speaks TLS on port 6443.
	Apid Seen[Certificate] `json:"apid"`
	// ARP are the hardware addresses that answered for the VIP on the segment,
	// by ARP or NDP, in the order of their first answers; empty where nobody
	// did.
	ARP Seen[[]ARPReply] `json:"arp"`
	// Neighbour is what this machine's kernel knows of the VIP.
	Neighbour Seen[Neighbour] `json:"neighbour"`
	// Elections are the election as etcd on each node tells it; none where
	// nobody asked.
	Elections []ElectionView `json:"elections,omitempty"`
}

// ARPReply is a hardware address that answered for a VIP.
type ARPReply struct {
	HardwareAddr string `json:"hardwareAddr"` // lower case, with colons
	// AfterSeconds is when it answered first, counted from the question.
	AfterSeconds float64 `json:"afterSeconds"`
	// Announced says that it told everybody, unasked, in that time: by a
	// gratuitous ARP or an unsolicited advertisement, as who takes an address.
	Announced bool `json:"announced,omitempty"`
}

// Neighbour is an entry of the kernel's neighbour table.
type Neighbour struct {
	// HardwareAddr is "" where there is no entry, or none that was resolved.
	HardwareAddr string `json:"hardwareAddr"`
	// State is the kernel's word: reachable, stale, delay, probe, failed,
	// permanent, ...; "" where there is no entry.
	State string `json:"state,omitempty"`
	Link  string `json:"link,omitempty"`
}

// InUse says whether the kernel sends by the entry at this moment. A stale one is
// only a memory, and a failed or incomplete one is none.
func (n Neighbour) InUse() bool {
	inUse := []string{"reachable", "delay", "probe", "permanent"}
	return n.HardwareAddr != "" && slices.Contains(inUse, strings.ToLower(n.State))
}

// ElectionView is a VIP's election as etcd on one node tells it.
type ElectionView struct {
	Node     string         `json:"node"`
	Election Seen[Election] `json:"election"`
}

// Election is the queue for a VIP at one revision of etcd.
type Election struct {
	Revision int64 `json:"revision"`
	// Candidates are in the order in which they take the VIP: the first is the
	// owner, the second is next.
	Candidates []Candidate `json:"candidates"`
}

// Candidate is a key in the queue.
type Candidate struct {
	Key      string `json:"key"`
	Hostname string `json:"hostname"` // its value: the kernel's host name of the node that wrote it
	Lease    string `json:"lease"`    // hexadecimal, lower case
	// CreateRevision orders the queue.
	CreateRevision int64 `json:"createRevision"`
	// TTL is the lease's whole time, Remaining what is left of it, both in
	// seconds.
	TTL       Seen[float64] `json:"ttlSeconds"`
	Remaining Seen[float64] `json:"remainingSeconds"`
}

// Node is one control-plane node. Name is its host name where that is known,
// else the address it was asked at; names are unique in a snapshot.
type Node struct {
	Name string `json:"name"`
	// Addr is the address it was asked at, never a VIP.
	Addr netip.Addr `json:"addr"`
	// Via is the endpoint through which its facts were read, "" where it was
	// dialled directly.
	Via string `json:"via,omitempty"`
	// ViaReason is why it was not read directly, "" where it was.
	ViaReason string `json:"viaReason,omitempty"`
	// Reachable says whether the Talos API answered at all: value true, or the
	// error.
	Reachable Seen[bool] `json:"reachable"`

	Hostname  Seen[string]        `json:"hostname"`
	Type      Seen[string]        `json:"type"` // controlplane, worker, init
	Version   Seen[Version]       `json:"version"`
	Stage     Seen[Stage]         `json:"stage"`
	BootTime  Seen[time.Time]     `json:"bootTime"`
	Addresses Seen[[]Address]     `json:"addresses"`
	Links     Seen[[]Link]        `json:"links"`
	VIPs      Seen[[]netip.Addr]  `json:"vips"`    // configured here: EtcdConfig.advertiseExcludeSubnets
	NodeIPs   Seen[[]netip.Addr]  `json:"nodeIPs"` // what the kubelet uses
	Services  Seen[[]Service]     `json:"services"`
	Members   Seen[[]Member]      `json:"members"` // etcd's members as this node lists them
	Etcd      Seen[EtcdStatus]    `json:"etcd"`
	Alarms    Seen[[]Alarm]       `json:"alarms"`
	Advertise Seen[[]netip.Addr]  `json:"advertise"` // EtcdSpec.advertisedAddresses
	APIServer Seen[APIServer]     `json:"apiServer"` // what answers on port 6443 of Addr
	StaticPod Seen[APIServerPod]  `json:"staticPod"` // the kube-apiserver pod as the kubelet reports it
	Discovery Seen[[]PeerAddress] `json:"discovery"` // the cluster's members as this node's discovery lists them

	Layers    Seen[[]Layered]   `json:"layers"`    // who wants which address there: AddressSpecs
	Campaigns Seen[[]string]    `json:"campaigns"` // links on which it campaigns or is owner: "vip/" finalizers of KubeletLifecycle
	EtcdLater Seen[EtcdStatus]  `json:"etcdLater"` // asked for once more, Snapshot.EtcdLaterAfter later
	Clock     Seen[Clock]       `json:"clock"`
	Apid      Seen[Certificate] `json:"apid"` // what apid presents on port 50000 of Addr
	// Neighbour is what this machine's kernel knows of Addr. It is asked for only
	// where Links are not known.
	Neighbour Seen[Neighbour] `json:"neighbour"`
}

// Layered is an address that something of Talos wants on a link.
type Layered struct {
	Prefix netip.Prefix `json:"prefix"`
	Link   string       `json:"link"`
	// Layer is who wants it: operator (the VIP operator, and DHCP),
	// configuration, cmdline, platform, default.
	Layer string `json:"layer"`
}

// Clock is a node's clock beside ours.
type Clock struct {
	// Ahead is by how many seconds it is ahead of ours; negative, behind.
	Ahead float64 `json:"aheadSeconds"`
	// Error bounds the error of Ahead: half of the time that the question took.
	Error float64 `json:"errorSeconds"`
}

// Version is what a node runs.
type Version struct {
	Tag      string `json:"tag"`      // v1.13.9
	Platform string `json:"platform"` // metal, hcloud, ...
	Mode     string `json:"mode"`     // metal, cloud, container
}

// Stage is the machine's stage: booting, running, rebooting, ...
type Stage struct {
	Stage string `json:"stage"`
	Ready bool   `json:"ready"`
	// Unmet are the conditions that keep it from being ready, as "name: reason".
	Unmet []string `json:"unmet,omitempty"`
}

// Address is an address on a link of a node.
type Address struct {
	Prefix    netip.Prefix `json:"prefix"`
	Link      string       `json:"link"`
	Broadcast netip.Addr   `json:"broadcast,omitzero"` // the zero value where it has none
	// Flags are the kernel's, as Talos joins them: "permanent", "dadfailed,...".
	Flags string `json:"flags,omitempty"`
}

// Link is a network link of a node.
type Link struct {
	Name  string `json:"name"`
	State string `json:"state"`          // operational state: up, down, unknown, ...
	Type  string `json:"type"`           // of hardware: ether, loopback, ...
	Kind  string `json:"kind,omitempty"` // of virtual link: bond, vlan, ...; "" for a real one
	// HardwareAddr is written as aa:bb:cc:dd:ee:ff, "" where the link has none.
	HardwareAddr string `json:"hardwareAddr,omitempty"`
}

// Service is a Talos service: ID such as kubelet or etcd, State as talosctl shows
// it, such as Running.
type Service struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Healthy bool   `json:"healthy"`
	// HealthKnown is false where the service has no health check or it has not
	// run yet.
	HealthKnown bool `json:"healthKnown"`
}

// Member is a member of etcd, as one node lists it.
type Member struct {
	ID         string   `json:"id"` // hexadecimal, lower case
	Hostname   string   `json:"hostname"`
	PeerURLs   []string `json:"peerURLs,omitempty"`
	ClientURLs []string `json:"clientURLs,omitempty"`
	Learner    bool     `json:"learner"`
}

// EtcdStatus is what a member says of itself. IDs are written as in Member.
type EtcdStatus struct {
	MemberID     string   `json:"memberID"`
	Leader       string   `json:"leader"` // "" where it knows of none
	Term         uint64   `json:"term"`
	Index        uint64   `json:"index"`
	AppliedIndex uint64   `json:"appliedIndex"`
	DBSize       int64    `json:"dbSizeBytes"`
	DBInUse      int64    `json:"dbInUseBytes"`
	Learner      bool     `json:"learner"`
	Version      string   `json:"version,omitempty"`
	Errors       []string `json:"errors,omitempty"` // without alarms
	// Alarms are those of all members that it knows of. Unlike the list of
	// alarms they need no quorum to be told.
	Alarms []Alarm `json:"alarms,omitempty"`
}

// Alarm is an alarm of etcd, which stays until it is disarmed.
type Alarm struct {
	MemberID string `json:"memberID"`
	Alarm    string `json:"alarm"` // NOSPACE, CORRUPT
}

// APIServer is what a kube-apiserver's port said.
type APIServer struct {
	// Answered says that it spoke HTTP at all.
	Answered bool `json:"answered"`
	// Status is the HTTP status of /readyz: 200 ready, 401 or 403 an apiserver
	// that wants credentials, 500 not ready; 0 where there was no answer.
	Status int `json:"status"`
	// Certificate is its serving certificate; the zero value where the TLS
	// handshake did not get so far.
	Certificate Certificate `json:"certificate"`
	// Error is why there was no answer, "" where there was one.
	Error string `json:"error,omitempty"`
}

// HandshakeOnly says that nobody asked for more than the certificate, and that
// the server showed one.
func (s APIServer) HandshakeOnly() bool {
	return !s.Answered && s.Error == "" && s.Certificate.Fingerprint != ""
}

// Certificate is a serving certificate.
type Certificate struct {
	// Fingerprint is the SHA-256 of its DER form, in lower-case hexadecimal.
	Fingerprint string       `json:"fingerprint,omitempty"`
	Addresses   []netip.Addr `json:"addresses,omitempty"`
	DNSNames    []string     `json:"dnsNames,omitempty"`
	NotAfter    time.Time    `json:"notAfter,omitzero"`
}

// APIServerPod is the kube-apiserver's static pod, as the node's kubelet told
// Talos: Phase is Kubernetes' own, such as Running, Ready the condition.
type APIServerPod struct {
	Phase string `json:"phase"`
	Ready bool   `json:"ready"`
}

// PeerAddress is a machine that discovery knows of. Addresses may hold a VIP.
type PeerAddress struct {
	Hostname     string       `json:"hostname"`
	ControlPlane bool         `json:"controlPlane"`
	Addresses    []netip.Addr `json:"addresses,omitempty"`
}

// Node returns the node of that name, or nil.
func (s *Snapshot) Node(name string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	return nil
}

// Holds says whether the node carries the address, and on which link: "" where it
// does not, UnnamedLink where it did not say on which. It is not known where the
// node's addresses are not.
func (n *Node) Holds(addr netip.Addr) Seen[string] {
	list, ok := n.Addresses.Get()
	if !ok {
		return Seen[string]{err: n.Addresses.Err()}
	}
	for _, a := range list {
		if a.Prefix.Addr() == addr {
			return Got(cmp.Or(a.Link, UnnamedLink))
		}
	}
	return Got("")
}

// UnnamedLink stands for a link without a name: an address on it is carried all
// the same.
const UnnamedLink = "?"

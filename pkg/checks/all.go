package checks

// What access the facts of a check take, for people.
const (
	needsReader = "Talos role os:reader"
	needsWire   = "a connection to port 6443"
	needsBoth   = needsReader + ", and " + needsWire
)

// OneOwner is the ID of the check that counts the holders of each VIP.
const OneOwner = "vip-one-owner"

// All returns every check, in the order in which they are shown: what a check
// rests on stands above it.
func All() []Check {
	return []Check{
		{whoAnswers, Talos, "every control-plane node answers", needsReader, nodesAnswer},
		{"nodes-ready", Talos, "every control-plane node is running and ready", needsReader, nodesReady},
		{"versions-alike", Talos, "every control-plane node runs the same Talos version", needsReader, versionsAlike},
		{"hostnames-differ", Talos, "no two control-plane nodes share a host name", needsReader, hostnamesDiffer},
		{"clocks-agree", Talos, "the clocks of all control-plane nodes agree", needsReader, clocksAgree},
		{"endpoint-not-vip", Talos, "no talosconfig endpoint is the VIP", "the talosconfig", endpointNotVIP},

		{"vip-configured-alike", VIP, "every control-plane node has the same VIPs configured", needsReader, vipConfiguredAlike},
		{"vip-segment", VIP, "the VIP and every control-plane node share one segment", needsReader, vipSegment},
		{"vip-link-up", VIP, "the link of the VIP is up on every control-plane node", needsReader, vipLinkUp},
		{"vip-campaigns", VIP, "every node that has the VIP configured campaigns for it", needsReader, vipCampaigns},
		{"vip-release", VIP, "no control-plane node runs a Talos release with a known fault of its VIP", needsReader, vipRelease},
		{OneOwner, VIP, "exactly one node has the VIP", needsReader, vipOneOwner},
		{"vip-witnesses-agree", VIP, "every other witness that could be asked names the same owner", needsReader + "; for the wire the VIP's segment and CAP_NET_RAW", witnessesAgree},
		{"vip-answers", VIP, "a ready kube-apiserver answers on the VIP", needsWire, vipAnswers},
		{"vip-answered-by-owner", VIP, "the server that answers on the VIP is its owner's", needsBoth, vipAnsweredByOwner},

		{"apiserver-ready", Kubernetes, "every control-plane node's own kube-apiserver is ready", needsBoth, apiServerReady},
		{"apiserver-certificate", Kubernetes, "every serving certificate covers the VIP", needsWire, certificateCoversVIP},
		{"apiserver-certificate-lasts", Kubernetes, "no serving certificate expires within a week", needsWire, certificatesLast},
		{"node-ip-not-vip", Kubernetes, "no kubelet takes the VIP for its node's address", needsReader, nodeIPNotVIP},

		{"etcd-members-agree", Etcd, "every node is a member of etcd, and all list the same members", needsReader, membersAgree},
		{"etcd-voters-healthy", Etcd, "every voter of etcd is healthy", needsReader, votersHealthy},
		{"etcd-voters-odd", Etcd, "the number of voters is odd", needsReader, votersOdd},
		{"etcd-one-leader", Etcd, "every member follows one leader in one term", needsReader, oneLeader},
		{"etcd-no-learner-or-alarm", Etcd, "etcd has no learner and no alarm", needsReader, noLearnerOrAlarm},
		{"etcd-quorum", Etcd, "quorum survives the loss of any one node", needsReader, quorumSurvives},
		{"etcd-not-on-vip", Etcd, "etcd does not advertise the VIP", needsReader, etcdNotOnVIP},
	}
}

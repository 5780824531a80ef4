package talos

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// plainName is a host name as it can be shown and told from every other text. One
// that cannot be a host's is quoted.
func plainName(s string) string {
	if s == "" || isName(s) && len(s) <= maxName {
		return s
	}
	return strconv.QuoteToASCII(s[:min(len(s), maxName)])
}

// maxName is how long a host name may be, in bytes: Linux takes 64.
const maxName = 253

// hexID writes an etcd ID as etcd does; 0 is nobody.
func hexID(id uint64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatUint(id, 16)
}

// singleAddrs keeps what stands for one address: a bare one, /32 or /128. A
// wider exclusion is no VIP.
func singleAddrs(list []string) []netip.Addr {
	out := make([]netip.Addr, 0, len(list))
	for _, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			out = append(out, addr.Unmap())
		} else if p, err := netip.ParsePrefix(s); err == nil && p.IsSingleIP() {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// sound is the prefix, or its address alone where the length cannot be: that one
// cannot be read again once it was written.
func sound(p netip.Prefix) netip.Prefix {
	if addr := p.Addr(); !p.IsValid() && addr.IsValid() {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	return p
}

// bootTime is so many seconds after 1970. JSON has no times after the year 9999.
func bootTime(seconds uint64) (time.Time, error) {
	if at := time.Unix(int64(min(seconds, math.MaxInt32<<8)), 0).UTC(); at.Year() <= 9999 {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%d is no time of a boot", seconds)
}

// maxMAC is how long a hardware address may be, in bytes: Linux takes 32.
const maxMAC = 32

func macString(mac nethelpers.HardwareAddr) string {
	return net.HardwareAddr(mac[:min(len(mac), maxMAC)]).String()
}

func services(resp *machineapi.ServiceListResponse) []cluster.Service {
	out := []cluster.Service{}
	for _, m := range resp.GetMessages() {
		for _, s := range m.GetServices() {
			h := s.GetHealth()
			out = append(out, cluster.Service{
				ID: line(s.GetId()), State: line(s.GetState()),
				Healthy: h.GetHealthy(), HealthKnown: h != nil && !h.GetUnknown(),
			})
		}
	}
	return out
}

func members(resp *machineapi.EtcdMemberListResponse) []cluster.Member {
	out := []cluster.Member{}
	for _, msg := range resp.GetMessages() {
		for _, m := range msg.GetMembers() {
			out = append(out, cluster.Member{
				ID: hexID(m.GetId()), Hostname: plainName(m.GetHostname()),
				PeerURLs: lines(m.GetPeerUrls()), ClientURLs: lines(m.GetClientUrls()), Learner: m.GetIsLearner(),
			})
		}
	}
	return out
}

func etcdStatus(s *machineapi.EtcdMemberStatus) cluster.EtcdStatus {
	errs, raised := splitAlarms(s.GetErrors())
	return cluster.EtcdStatus{
		MemberID: hexID(s.GetMemberId()), Leader: hexID(s.GetLeader()),
		Term: s.GetRaftTerm(), Index: s.GetRaftIndex(), AppliedIndex: s.GetRaftAppliedIndex(),
		DBSize: s.GetDbSize(), DBInUse: s.GetDbSizeInUse(),
		Learner: s.GetIsLearner(), Version: line(s.GetProtocolVersion()), Errors: errs, Alarms: raised,
	}
}

// lines are each made one, nil where there are none.
func lines(all []string) []string {
	var out []string
	for _, s := range all {
		out = append(out, line(s))
	}
	return out
}

// splitAlarms tells alarms from the rest of a member's errors. Every member
// names those of all as "memberID:14110624312194729768 alarm:NOSPACE" (etcd
// v3.6.12 server/etcdserver/api/v3rpc/maintenance.go).
func splitAlarms(all []string) (errs []string, raised []cluster.Alarm) {
	for _, e := range all {
		var id uint64
		var kind string
		if n, _ := fmt.Sscanf(e, "memberID:%d alarm:%s", &id, &kind); n != 2 {
			errs = append(errs, line(e))
			continue
		}
		raised = append(raised, cluster.Alarm{MemberID: hexID(id), Alarm: line(kind)})
	}
	return errs, raised
}

func alarms(resp *machineapi.EtcdAlarmListResponse) []cluster.Alarm {
	out := []cluster.Alarm{}
	for _, msg := range resp.GetMessages() {
		for _, a := range msg.GetMemberAlarms() {
			if a.GetAlarm() != machineapi.EtcdMemberAlarm_NONE {
				out = append(out, cluster.Alarm{MemberID: hexID(a.GetMemberId()), Alarm: a.GetAlarm().String()})
			}
		}
	}
	return out
}

// campaignFinalizer begins what the VIP operator puts on the kubelet's
// lifecycle while it campaigns or is owner, followed by the link (Talos v1.13.9,
// internal/app/machined/pkg/controllers/network/operator/vip.go).
const campaignFinalizer = "vip/"

// campaigns are the links of the VIP operator's finalizers, in order.
func campaigns(md *resource.Metadata) []string {
	links := []string{}
	if md.Phase() != resource.PhaseRunning {
		return links
	}
	for _, f := range *md.Finalizers() {
		if link, ok := strings.CutPrefix(f, campaignFinalizer); ok {
			links = append(links, line(link))
		}
	}
	slices.Sort(links)
	return links
}

// layer names a layer; a newer Talos may have some that are not known here.
func layer(l network.ConfigLayer) string {
	if !l.IsAConfigLayer() {
		return "layer " + strconv.Itoa(int(l))
	}
	return l.String()
}

// apiServerPodPrefix begins the ID of a node's kube-apiserver pod.
const apiServerPodPrefix = "kube-system/kube-apiserver-"

func apiServerPod(pods []*k8s.StaticPodStatus) (cluster.APIServerPod, error) {
	for _, p := range pods {
		if !strings.HasPrefix(p.Metadata().ID(), apiServerPodPrefix) {
			continue
		}
		status := p.TypedSpec().PodStatus
		phase, _ := status["phase"].(string)
		return cluster.APIServerPod{Phase: line(phase), Ready: podReady(status)}, nil
	}
	return cluster.APIServerPod{}, errors.New("the kubelet reports no kube-apiserver pod")
}

// podReady reads the Ready condition; without one the pod is not ready.
func podReady(status map[string]any) bool {
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			return c["status"] == "True"
		}
	}
	return false
}

// hosts returns the addresses in a member's URLs, peer URLs first. Talos
// writes addresses there, never names.
func hosts(m cluster.Member) []netip.Addr {
	var out []netip.Addr
	for _, urls := range [][]string{m.PeerURLs, m.ClientURLs} {
		for _, u := range urls {
			if at, err := parseEndpoint(u); err == nil {
				if addr, err := netip.ParseAddr(at.host); err == nil {
					out = append(out, addr.Unmap())
				}
			}
		}
	}
	return out
}

package talos

import (
	"reflect"
	"testing"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"

	"github.com/vipctl/vipctl/pkg/cluster"
)

func TestEtcdStatusTellsAlarmsFromErrors(t *testing.T) {
	got := etcdStatus(&machineapi.EtcdMemberStatus{MemberId: 0xa1, Errors: []string{
		"memberID:162 alarm:NOSPACE", "etcdserver: no leader", "memberID:163 alarm:CORRUPT",
	}})
	want := cluster.EtcdStatus{
		MemberID: hexID(0xa1), Errors: []string{"etcdserver: no leader"},
		Alarms: []cluster.Alarm{{MemberID: hexID(162), Alarm: "NOSPACE"}, {MemberID: hexID(163), Alarm: "CORRUPT"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("etcdStatus() = %+v; want %+v", got, want)
	}
}

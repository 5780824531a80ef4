package checks

import (
	"fmt"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// When a member's database is worth a word. Fragmentation by the alerts that come
// with etcd (v3.6 contrib/mixin: etcdDatabaseHighFragmentationRatio). Its alert on
// the quota, at 95 %, leaves little time to act; so earlier here. Talos sets no
// quota itself, so it is etcd's own unless cluster.etcd.extraArgs has
// quota-backend-bytes (DefaultQuotaBytes in etcd v3.6.12 server/storage/quota.go).
const (
	leastInUse   = 100 << 20 // bytes
	fragmented   = 0.5       // of the file is free
	defaultQuota = 2 << 30   // bytes
	nearQuota    = 0.8       // of it
)

// Fragmentation is the share of the member's database file that holds nothing,
// from 0 to 1; 0 where the size is not known.
func (m EtcdMember) Fragmentation() float64 {
	said := m.Said.Value()
	if said.DBSize <= 0 {
		return 0
	}
	return 1 - float64(min(max(said.DBInUse, 0), said.DBSize))/float64(said.DBSize)
}

// storeNotes say whose database is worth defragmenting, or grows towards the
// quota at which etcd raises NOSPACE.
func storeNotes(s *cluster.Snapshot, members []EtcdMember) []EtcdNote {
	var notes []EtcdNote
	for _, m := range members {
		said := m.Said.Value()
		defrag := "talosctl -n " + reached(s, m.Node) + " etcd defrag"
		if m.Fragmentation() > fragmented && said.DBInUse > leastInUse {
			notes = append(notes, EtcdNote{"fragmentation",
				fmt.Sprintf("%s: %.0f %% of its database of %d MiB is free", m.Label(), 100*m.Fragmentation(), said.DBSize>>20),
				defrag + ", one node after the other, the leader last: it stands still meanwhile"})
		}
		if float64(said.DBSize) > nearQuota*defaultQuota {
			notes = append(notes, EtcdNote{"databaseSize",
				fmt.Sprintf("%s: its database has %d MiB; at etcd's quota, %d MiB unless quota-backend-bytes says otherwise, it refuses writes",
					m.Label(), said.DBSize>>20, defaultQuota>>20),
				defrag + " first; then cluster.etcd.extraArgs quota-backend-bytes, up to 8 GiB"})
		}
	}
	return notes
}

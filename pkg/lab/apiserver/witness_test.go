//go:build linux

package apiserver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

type counter struct{ events []truth.Event }

func (c *counter) Record(e truth.Event) { c.events = append(c.events, e) }

// The words: "add" and "del" change the address, "hear" delivers the kernel's
// oldest undelivered news of it, "conn" accepts a connection to it, "other"
// one to another address.
func TestWitnessRecordsTheFirstConnectionSinceTheAddressCame(t *testing.T) {
	vip := netip.MustParseAddr("10.5.0.50")
	for _, test := range []struct {
		story string
		want  int
	}{
		{"other", 0},
		{"add hear conn", 1},
		{"add hear conn conn", 1},
		{"add conn hear conn", 1}, // the news came late
		{"add conn hear del hear add hear conn", 2},
		{"add conn hear del hear add conn hear conn", 2},
		{"add hear del hear conn", 0}, // it was queued when the address went
		{"add hear conn del hear conn add hear conn", 2},
	} {
		log := &counter{}
		held := false
		var news []bool
		w := newWitness([]netip.Addr{vip}, log)
		w.has = func(netip.Addr) bool { return held }
		for word := range strings.FieldsSeq(test.story) {
			switch word {
			case "add", "del":
				held = word == "add"
				news = append(news, held)
			case "hear":
				w.changed(vip, news[0])
				news = news[1:]
			case "conn":
				w.accepted(vip, truth.Now())
			case "other":
				w.accepted(netip.MustParseAddr("10.5.0.2"), truth.Now())
			}
		}
		if len(log.events) != test.want {
			t.Errorf("witness(%q) recorded %d events; want %d", test.story, len(log.events), test.want)
		}
	}
}

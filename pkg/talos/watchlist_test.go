package talos

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/state"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
)

// born is the address's resource that was created at that second.
func born(second int64) *network.AddressStatus {
	r := addressStatus("10.5.0.50/32")
	r.Metadata().SetCreated(time.Unix(second, 0))
	return r
}

// Each row is news in the order in which it came: "+1" and "-1" are the watch
// telling that the address of second 1 came and went, "?" is a question on its
// way, "=1" and "=" are answers with that address and with none. After each
// that changed the addresses stands whether the address is there then.
func TestSightings(t *testing.T) {
	for _, tt := range []struct{ name, news, want string }{
		{"the watch tells all", "+1 -1 +2", "there gone there"},
		{"an answer is first with a gain, and the watch repeats it", "? =1 +1", "there"},
		{"an answer is first with a loss, and the watch repeats it", "+1 ? = -1", "there gone"},
		{"the watch never learns of it, and answers suffice", "+1 ? = ? =2 ? =", "there gone there gone"},
		{"an answer is older than what the watch told meanwhile", "+1 ? -1 =1", "there gone"},
		{"an answer without an address that the watch brought meanwhile", "? +1 =", "there"},
		{"the next answer counts again", "? +1 = ? =", "there gone"},
		{"the watch is late with the end of the first, when the second is there", "+1 ? =2 -1 +2", "there"},
		{"the watch is late with the beginning of what is gone", "+1 ? = +1 -1 +2", "there gone there"},
		{"it comes back at the same instant of a clock that stands still", "+1 -1 +1", "there gone there"},
		{"a clock set back is no reason to doubt", "+5 -5 +3 ? =3", "there gone there"},
		{"answers that say the same say nothing", "+1 ? =1 ? =1", "there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, got := newSightings(), []string{}
			for word := range strings.FieldsSeq(tt.news) {
				if tell(t, s, word) {
					got = append(got, map[bool]string{true: "there", false: "gone"}[len(s.prefixes()) == 1])
				}
			}
			if now := strings.Join(got, " "); now != tt.want {
				t.Errorf("%s: %s; want %s", tt.news, now, tt.want)
			}
		})
	}
}

func tell(t *testing.T, s *sightings, word string) bool {
	t.Helper()
	var list []*network.AddressStatus
	if len(word) > 1 {
		list = append(list, born(int64(word[1]-'0')))
	}
	changed, err := false, error(nil)
	switch word[0] {
	case '+':
		changed, err = s.apply(state.Event{Type: state.Created, Resource: list[0]})
	case '-':
		changed, err = s.apply(state.Event{Type: state.Destroyed, Resource: list[0]})
	case '?':
		s.asked()
	case '=':
		changed = s.answered(list)
	}
	if err != nil {
		t.Fatalf("%s: %v", word, err)
	}
	return changed
}

func TestSightingsOfWhatANewerTalosSends(t *testing.T) {
	s := newSightings()
	for _, e := range []state.Event{{Type: state.Noop}, {Type: state.Bootstrapped}, {Type: 99}} {
		if changed, err := s.apply(e); changed || err != nil {
			t.Errorf("apply(%v) = %v, %v; want nothing", e.Type, changed, err)
		}
	}
	if _, err := s.apply(state.Event{Type: state.Errored, Error: errEmpty}); !errors.Is(err, errEmpty) {
		t.Errorf("apply of an error = %v; want it", err)
	}
	if _, err := s.apply(state.Event{Type: state.Destroyed}); err == nil {
		t.Error("apply of the end of nothing = nil; want an error")
	}
}

package report

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/cluster"
)

// someItems are a context with that document, and two that could not be asked.
func someItems[D any](doc *D) []Item[D] {
	failed := func(context, message, hint string) Item[D] {
		e := NewError(message, hint, 1)
		e.Context = context
		return Item[D]{Failure: e}
	}
	return []Item[D]{
		failed("dead", "no Talos node answered: 192.0.2.9:50000: connection refused", "check --endpoints"),
		{Document: doc},
		failed("gone", "no Talos node answered: 192.0.2.8:50000: no answer", "check --endpoints"),
	}
}

func someOwnershipList() *OwnershipList {
	bare := NewOwnership(&cluster.Snapshot{Context: "bare", TakenAt: someTime})
	return NewOwnershipList(append(someItems(someOwnership()), Item[Ownership]{Document: someSplitBrain()}, Item[Ownership]{Document: bare}))
}

func TestItemIsTheDocumentItself(t *testing.T) {
	doc := someOwnership()
	doc.VIPs[0].Reason = "a <b> & c"
	item, err := Item[Ownership]{Document: doc}.MarshalJSON()
	if err != nil || !strings.Contains(string(item), "a <b> & c") {
		t.Errorf("MarshalJSON() = %s, %v; want the reason as it is", item, err)
	}
	var back Ownership
	if err := json.Unmarshal(item, &back); err != nil || back.Kind != KindOwnership || back.VIPs[0].Owner != "cp-1" {
		t.Errorf("the item reads as %+v, %v; want the document", back, err)
	}
}

func TestListsMissNoContext(t *testing.T) {
	for name, doc := range map[string]Tabular{
		"owner": someOwnershipList(), "etcd": NewEtcdList(someItems(NewEtcd(someCluster(), 0))), "doctor": NewDoctorList(someItems(someDoctor())),
		"owner, none answered": NewOwnershipList(someItems[Ownership](nil)[:1]),
	} {
		grid := doc.Grids(false)[0]
		want := []string{"dead", "lab", "gone"}
		if strings.Contains(name, "none") {
			want = want[:1]
		}
		for i, context := range want {
			row := grid.Rows[i]
			failed := context != "lab"
			if row[0] != context || len(row) != len(grid.Header) || failed != strings.HasPrefix(row[len(row)-1], "no Talos node") {
				t.Errorf("%s: row %d = %q below %q; want %s, with an error: %v", name, i, row, grid.Header, context, failed)
			}
		}
		who := "dead, gone"
		if len(want) == 1 {
			who = "dead"
		}
		if got := strings.Join(grid.Footer, "\n"); strings.Count(got, "hint: check") != 1 || !strings.HasSuffix(got, who+": hint: check --endpoints") {
			t.Errorf("%s: the lines below are\n%s\nwant the hint once, for %s", name, got, who)
		}
	}
}

func TestHintsForManyContexts(t *testing.T) {
	for _, tt := range []struct {
		contexts string
		want     string
	}{
		{"a", "a: hint: try"},
		{"a b c d e", "a, b, c, d, e: hint: try"},
		{"a b c d e f", "a, b, c, d, 2 more: hint: try"},
	} {
		if got := (hint{"try", strings.Fields(tt.contexts)}).String(); got != tt.want {
			t.Errorf("the hint for %s is %q; want %q", tt.contexts, got, tt.want)
		}
	}
}

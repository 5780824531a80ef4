package chaos

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

func TestWorst(t *testing.T) {
	tests := []struct {
		of   []Result
		want Result
	}{
		{nil, ""},
		{[]Result{ResultPass}, ResultPass},
		{[]Result{ResultPass, ResultObjectiveMissed, ResultPass}, ResultObjectiveMissed},
		{[]Result{ResultObjectiveMissed, ResultInconclusive}, ResultInconclusive},
		{[]Result{ResultInconclusive, ResultRefused}, ResultRefused},
		{[]Result{ResultRefused, ResultInterrupted}, ResultInterrupted},
		{[]Result{ResultSplitBrain, ResultInterrupted}, ResultSplitBrain},
		{[]Result{ResultSplitBrain, ResultNotWhole, ResultPass}, ResultNotWhole},
		{[]Result{ResultPass, ""}, ResultInconclusive}, // no result never counts as good
		{[]Result{"passed"}, ResultInconclusive},
	}
	for _, tt := range tests {
		if got := Worst(tt.of...); got != tt.want {
			t.Errorf("Worst(%q) = %q; want %q", tt.of, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	closed := func(lower, value, upper time.Duration) outage.Measurement {
		return outage.Measurement{State: outage.Closed, Outage: outage.Window{Lower: lower, Value: value, Upper: upper}}
	}
	const objective = 2 * time.Second
	tests := []struct {
		name string
		out  Outcome
		want Result
	}{
		{"whole and short", Outcome{Phase: Whole, Measurement: closed(1e9, 1.1e9, 1.2e9)}, ResultPass},
		{"bounds beyond the objective", Outcome{Phase: Whole, Measurement: closed(2.1e9, 2.2e9, 2.3e9)}, ResultObjectiveMissed},
		{"bounds around it, value within", Outcome{Phase: Whole, Measurement: closed(1.8e9, 1.9e9, 2.1e9)}, ResultPass},
		{"bounds around it, value beyond", Outcome{Phase: Whole, Measurement: closed(1.9e9, 2.1e9, 2.2e9)}, ResultObjectiveMissed},
		{"no outage seen", Outcome{Phase: Whole, Measurement: outage.Measurement{State: outage.None}}, ResultPass},
		{"nothing measured", Outcome{Phase: Whole}, ResultInconclusive},
		{"an open outage", Outcome{Phase: Whole, Measurement: outage.Measurement{State: outage.Open}}, ResultInconclusive},
		{"no end yet", Outcome{Phase: Verifying, Measurement: closed(1e9, 1e9, 1e9)}, ResultInconclusive},
		{"interrupted and whole", Outcome{Phase: Whole, Interrupted: true, Measurement: closed(1e9, 1e9, 1e9)}, ResultInterrupted},
		{"interrupted and not whole", Outcome{Phase: NotWhole, Interrupted: true}, ResultNotWhole},
		{"split brain and interrupted", Outcome{Phase: Whole, SplitBrain: true, Interrupted: true}, ResultSplitBrain},
		{"not whole and split brain", Outcome{Phase: NotWhole, SplitBrain: true}, ResultNotWhole},
	}
	for _, tt := range tests {
		if got := judge(tt.out, objective); got != tt.want {
			t.Errorf("%s: judge = %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestNewPlan(t *testing.T) {
	got := NewPlan([]string{"graceful", "hard"}, 2)
	want := Plan{{"graceful", 1}, {"graceful", 2}, {"hard", 1}, {"hard", 2}}
	if !slices.Equal(got, want) {
		t.Errorf("NewPlan(graceful hard, 2) = %v; want %v", got, want)
	}
}

func TestEventSurvivesJSON(t *testing.T) {
	want := Event{At: 1799*time.Hour + 123456789, Mode: "hard", Round: 2, Target: "cp-1", Phase: Injected, Kind: KindAccepted, Detail: "a"}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Event
	if err := json.Unmarshal(data, &got); err != nil || got != want {
		t.Errorf("%s was read as %+v, %v; want %+v", data, got, err, want)
	}
}

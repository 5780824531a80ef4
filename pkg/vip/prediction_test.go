package vip

import (
	"strings"
	"testing"
	"time"
)

func TestPredict(t *testing.T) {
	crash := func(l Leadership) func(time.Duration) Prediction {
		return func(lease time.Duration) Prediction { return PredictCrash(lease, l) }
	}
	tests := []struct {
		name         string
		predict      func(time.Duration) Prediction
		lease        time.Duration
		lower, upper time.Duration
	}{
		{"a handover takes under a second", PredictHandover, 60 * time.Second, 0, time.Second},
		{"whatever the lease", PredictHandover, 5 * time.Second, 0, time.Second},
		{"a follower's lease runs out", crash(OwnerFollows), 60 * time.Second, 39500 * time.Millisecond, 60500 * time.Millisecond},
		{"no lease given means Talos's", crash(OwnerFollows), 0, 39500 * time.Millisecond, 60500 * time.Millisecond},
		{"a short one, too, renewed late", crash(OwnerFollows), 6 * time.Second, 3500 * time.Millisecond, 6500 * time.Millisecond},
		{"etcd grants none under two seconds", crash(OwnerFollows), time.Second, 2*time.Second - 2*time.Second/3 - 500*time.Millisecond, 2500 * time.Millisecond},
		{"a leader's lease begins anew", crash(OwnerLeads), 60 * time.Second, 61800 * time.Millisecond, 65500 * time.Millisecond},
		{"a short one, too, after an election", crash(OwnerLeads), 5 * time.Second, 6800 * time.Millisecond, 10500 * time.Millisecond},
		{"not knowing who leads spans both", crash(LeadershipUnknown), 60 * time.Second, 39500 * time.Millisecond, 65500 * time.Millisecond},
		{"a forced reboot is anything up to a crash after etcd's end", PredictForce, 60 * time.Second, 0, 75500 * time.Millisecond},
		{"with a short lease, too", PredictForce, 5 * time.Second, 0, 20500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.predict(tt.lease)
			if off := (got.Lower - tt.lower).Abs(); off > time.Microsecond || got.Upper != tt.upper {
				t.Errorf("predicted %v - %v for a lease of %v; want %v - %v", got.Lower, got.Upper, tt.lease, tt.lower, tt.upper)
			}
			if got.Basis == "" {
				t.Error("no basis")
			}
		})
	}
}

// Outages of crashes that were measured with Talos's own operator and a real
// etcd: each must have been predicted.
func TestPredictCrashHoldsWhatWasMeasured(t *testing.T) {
	for _, tt := range []struct {
		lease    time.Duration
		owner    Leadership
		measured []float64
	}{
		{60 * time.Second, OwnerFollows, []float64{47.00, 55.14, 49.49, 47.1, 57.2}},
		{60 * time.Second, OwnerLeads, []float64{62.26, 62.08, 62.43, 62.5}},
		{5 * time.Second, OwnerLeads, []float64{7.3, 7.9}},
	} {
		p := PredictCrash(tt.lease, tt.owner)
		for _, s := range tt.measured {
			if m := time.Duration(s * float64(time.Second)); m < p.Lower || m > p.Upper {
				t.Errorf("PredictCrash(%v, %v) = %v - %v; %v was measured", tt.lease, tt.owner, p.Lower, p.Upper, m)
			}
		}
	}
}

func TestPredictCrashNow(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name             string
		lease, remaining time.Duration
		ghosts           []time.Duration
		owner            Leadership
		lower, upper     time.Duration
		basis            string // a part of it
	}{
		{"what is left of a follower's lease runs out", 60 * s, 51 * s, nil, OwnerFollows, 51 * s, 52500 * time.Millisecond, "51 s left of the owner's lease of 60 s"},
		{"a lease at its end is gone soon", 60 * s, 0, nil, OwnerFollows, 0, 1500 * time.Millisecond, "0 s left"},
		{"etcd tells of an expired lease with less than nothing", 60 * s, -s, nil, OwnerFollows, 0, 1500 * time.Millisecond, "0 s left"},
		{"a leader's lease begins anew, whatever is left", 60 * s, 41 * s, nil, OwnerLeads, 61800 * time.Millisecond, 65500 * time.Millisecond, "etcd leader"},
		{"no lease given means Talos's", 0, 41 * s, nil, OwnerLeads, 61800 * time.Millisecond, 65500 * time.Millisecond, "60 s"},
		{"not knowing who leads spans both", 60 * s, 41 * s, nil, LeadershipUnknown, 41 * s, 65500 * time.Millisecond, "not known"},
		{"a ghost with less left than the owner adds nothing", 60 * s, 51 * s, []time.Duration{12 * s}, OwnerFollows, 51 * s, 52500 * time.Millisecond, "(1)"},
		{"a ghost with more left outlasts the owner", 60 * s, 43 * s, []time.Duration{12 * s, 58 * s}, OwnerFollows, 58 * s, 59500 * time.Millisecond, "(2)"},
		{"a ghost's lease begins anew as the leader's does", 60 * s, 43 * s, []time.Duration{58 * s}, OwnerLeads, 61800 * time.Millisecond, 65500 * time.Millisecond, "renewed"},
		{"a short lease", 5 * s, 4 * s, nil, OwnerFollows, 4 * s, 5500 * time.Millisecond, "4 s left of the owner's lease of 5 s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := PredictCrashNow(tt.lease, tt.remaining, tt.ghosts, tt.owner)
			if got.Lower != tt.lower || got.Upper != tt.upper || !strings.Contains(got.Basis, tt.basis) {
				t.Errorf("PredictCrashNow(%v, %v, %v, %v) = %+v; want %v - %v, %q", tt.lease, tt.remaining, tt.ghosts, tt.owner, got, tt.lower, tt.upper, tt.basis)
			}
		})
	}
}

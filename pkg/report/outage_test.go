package report

import (
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/outage"
)

func TestOutageString(t *testing.T) {
	closed := func(value, lower, upper time.Duration) outage.Measurement {
		return outage.Measurement{Samples: 9, State: outage.Closed, Outage: outage.Window{Value: value, Lower: lower, Upper: upper}}
	}
	for _, tt := range []struct {
		name string
		m    outage.Measurement
		want string
	}{
		{"seconds", closed(12_630*time.Millisecond, 12_600*time.Millisecond, 12_840*time.Millisecond), "12.63 s (12.60 - 12.84)"},
		{"bounds are rounded outwards", closed(12_634*time.Millisecond, 12_609*time.Millisecond, 12_841*time.Millisecond), "12.63 s (12.60 - 12.85)"},
		{"exact bounds stay, in hundredths", closed(2030*time.Millisecond, 2030*time.Millisecond, 2030*time.Millisecond), "2.03 s (2.03 - 2.03)"},
		{"exact bounds stay, in thousandths", closed(580*time.Millisecond, 290*time.Millisecond, 587*time.Millisecond), "0.580 s (0.290 - 0.587)"},
		{"milliseconds below a second", closed(12*time.Millisecond, 0, 41_200_300), "0.012 s (0.000 - 0.042)"},
		{"no upper bound", closed(2*time.Second, time.Second, outage.Unbounded), "2.00 s (1.00 - ...)"},
		{"none", outage.Measurement{Samples: 9, State: outage.None, Outage: outage.Window{Upper: 219_400_000}}, "none seen (shorter than 0.220 s)"},
		{"open", outage.Measurement{Samples: 9, State: outage.Open, Outage: outage.Window{Lower: 150 * time.Second, Upper: outage.Unbounded}}, "open: not back after 150.00 s"},
		{"inconclusive", outage.Measurement{Samples: 9}, "inconclusive"},
		{"no samples", outage.Measurement{}, "not measured"},
	} {
		o := NewOutage(tt.m, 0)
		if got := o.String(); got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestOutageCountsFromTheFault(t *testing.T) {
	o := NewOutage(someMeasurement(5*time.Second), 5*time.Second)
	if w := o.Windows[0]; w.FromAtSeconds != 0.03 || *w.ToAtSeconds != 0.052 {
		t.Errorf("window = %v to %v; want 0.03 to 0.052", w.FromAtSeconds, *w.ToAtSeconds)
	}
	if *o.Seconds != 0.022 || o.LowerSeconds != 0.0015 || *o.UpperSeconds != 0.0412003 {
		t.Errorf("outage = %v (%v - %v)", *o.Seconds, o.LowerSeconds, *o.UpperSeconds)
	}
	open := NewOutage(outage.Measurement{Samples: 9, State: outage.Open, Windows: []outage.Window{{Open: true}}}, 0)
	if open.Seconds != nil || open.UpperSeconds != nil || open.Windows[0].ToAtSeconds != nil {
		t.Errorf("an open outage has a length: %+v", open)
	}
}

package lab

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/l2"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

func TestCheckFault(t *testing.T) {
	args := func(kv ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for name, row := range map[string]struct {
		req  FaultRequest
		want string
	}{
		"known":                        {FaultRequest{Fault: "freeze", Node: "cp-1"}, ""},
		"with its flag":                {FaultRequest{Fault: "partition", Node: "cp-1", Args: args("from", "cp-2,cp-3", "direction", "in")}, ""},
		"of every node":                {FaultRequest{Fault: "lose-garp"}, ""},
		"of one node":                  {FaultRequest{Fault: "lose-garp", Node: Owner}, ""},
		"of the network":               {FaultRequest{Fault: "foreign-host", Args: args("vip", "10.5.0.50", "announce", "true")}, ""},
		"with another's flag":          {FaultRequest{Fault: "freeze", Node: "cp-1", Args: args("from", "cp-2")}, "the fault freeze takes no --from"},
		"unknown":                      {FaultRequest{Fault: "frost", Node: "cp-1"}, `there is no fault "frost"`},
		"named with capital":           {FaultRequest{Fault: "Freeze", Node: "cp-1"}, `there is no fault "Freeze"`},
		"without what it needs":        {FaultRequest{Fault: "clock-skew", Node: "cp-1"}, "the fault clock-skew needs --offset"},
		"without its node":             {FaultRequest{Fault: "freeze"}, "the fault freeze needs a node"},
		"a node for the network":       {FaultRequest{Fault: "foreign-host", Node: "cp-1"}, "the fault foreign-host is one of the network and takes no node"},
		"a direction that is none":     {FaultRequest{Fault: "loss", Node: "cp-1", Args: args("direction", "up")}, `--direction "up": directions are in, out and both`},
		"a delay that is none":         {FaultRequest{Fault: "delay", Node: "cp-1", Args: args("delay", "20")}, `--delay "20": time: missing unit in duration "20"`},
		"a jitter before its time":     {FaultRequest{Fault: "delay", Node: "cp-1", Args: args("jitter", "-1ms")}, `--jitter "-1ms": delays are from 0s to 1m0s`},
		"a loss of nothing":            {FaultRequest{Fault: "loss", Node: "cp-1", Args: args("percent", "0")}, `--percent "0": losses are more than 0 and at most 100`},
		"a loss of more than all":      {FaultRequest{Fault: "loss", Node: "cp-1", Args: args("percent", "101")}, `--percent "101": losses are more than 0 and at most 100`},
		"a loss that is not a number":  {FaultRequest{Fault: "loss", Node: "cp-1", Args: args("percent", "NaN")}, `--percent "NaN": losses are more than 0 and at most 100`},
		"a list with a hole":           {FaultRequest{Fault: "partition", Node: "cp-1", Args: args("from", "cp-2,")}, `--from "cp-2,": hosts are separated by single commas`},
		"a VIP that is no address":     {FaultRequest{Fault: "lose-garp", Args: args("vip", "x")}, `--vip "x": ParseAddr("x"): unable to parse IP`},
		"announced neither way":        {FaultRequest{Fault: "foreign-host", Args: args("announce", "loud")}, `--announce "loud": strconv.ParseBool: parsing "loud": invalid syntax`},
		"an empty value is not absent": {FaultRequest{Fault: "delay", Node: "cp-1", Args: args("delay", "")}, `--delay "": time: invalid duration ""`},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckFault(row.req)
			if (err == nil) != (row.want == "") || err != nil && err.Error() != row.want {
				t.Errorf("CheckFault(%+v) = %v; want %q", row.req, err, row.want)
			}
			if _, usage := errors.AsType[*UsageError](err); err != nil && (!usage || hintOf(err) == "") {
				t.Errorf("CheckFault(%+v) = %T with the hint %q; want a UsageError with a hint", row.req, err, hintOf(err))
			}
		})
	}
}

// A fault that nobody does, and a flag of the supervisor's faults that nobody
// checks, are mistakes in the catalogue.
func TestEveryFaultIsDone(t *testing.T) {
	names := make(map[string]bool)
	for _, fault := range Faults() {
		if names[fault.Name] {
			t.Errorf("there are two faults %s", fault.Name)
		}
		names[fault.Name] = true
		if (&faults{}).deed(fault) == nil {
			t.Errorf("deed(%s) = nil; want how it is done", fault.Name)
		}
		for flag := range fault.Flags {
			if fault.Scope != ScopeNode && checks()[flag] == nil {
				t.Errorf("the flag --%s of %s has no check", flag, fault.Name)
			}
		}
	}
}

func TestActiveFaultReadsWell(t *testing.T) {
	for want, a := range map[string]ActiveFault{
		"freeze":                             {Fault: "freeze", Node: "cp-1"},
		"partition (from cp-2,cp-3)":         {Fault: "partition", Node: "cp-1", Args: map[string]string{"from": "cp-2,cp-3"}},
		"delay (delay 20ms, direction in)":   {Fault: "delay", Args: map[string]string{"direction": "in", "delay": "20ms"}},
		"foreign-host (vip 10.5.0.50)":       {Fault: "foreign-host", Args: map[string]string{"vip": "10.5.0.50"}},
		"partition (direction out, from cp)": {Fault: "partition", Args: map[string]string{"from": "cp", "direction": "out"}},
	} {
		if got := a.String(); got != want {
			t.Errorf("String(%+v) = %q; want %q", a, got, want)
		}
	}
}

func TestPartitionsAddUp(t *testing.T) {
	hosts := []string{"cp-1", "cp-2", workstationName}
	partition := func(node, from, direction string) ActiveFault {
		a := ActiveFault{Fault: "partition", Node: node, Args: map[string]string{"direction": direction}}
		if from != "" {
			a.Args["from"] = from
		}
		return a
	}
	for name, row := range map[string]struct {
		active []ActiveFault
		want   []oneWay
	}{
		"none":                          {[]ActiveFault{{Fault: "freeze", Node: "cp-2"}}, nil},
		"one from one":                  {[]ActiveFault{partition("cp-1", "cp-2", "both")}, []oneWay{{"cp-1", "cp-2"}, {"cp-2", "cp-1"}}},
		"the same by both":              {[]ActiveFault{partition("cp-1", "cp-2", "both"), partition("cp-2", "cp-1", "both")}, []oneWay{{"cp-1", "cp-2"}, {"cp-2", "cp-1"}}},
		"what comes in":                 {[]ActiveFault{partition("cp-1", "cp-2", "in")}, []oneWay{{"cp-2", "cp-1"}}},
		"what goes out":                 {[]ActiveFault{partition("cp-1", "cp-2", "out")}, []oneWay{{"cp-1", "cp-2"}}},
		"a foreign host's is among all": {[]ActiveFault{partition("cp-1", "", "in")}, []oneWay{{"cp-2", "cp-1"}, {foreignName, "cp-1"}, {workstationName, "cp-1"}}},
	} {
		got := slices.SortedFunc(maps.Keys(allParted(row.active, hosts)), func(a, b oneWay) int {
			return slices.Compare([]string{a.from, a.to}, []string{b.from, b.to})
		})
		if !slices.Equal(got, row.want) {
			t.Errorf("allParted(%s) = %v; want %v", name, got, row.want)
		}
	}
	if _, err := parted(partition("cp-1", "cp-1", "both"), hosts); err == nil {
		t.Error("parted(cp-1 from itself) = nil; want an error")
	}
}

func TestImpairment(t *testing.T) {
	active := []ActiveFault{
		{Fault: "delay", Node: "cp-1", Args: map[string]string{"delay": "20ms", "jitter": "5ms", "direction": "in"}},
		{Fault: "loss", Node: "cp-1"},
		{Fault: "delay", Node: "cp-2"},
	}
	for _, row := range []struct {
		node string
		way  l2.Way
		want l2.Impairment
	}{
		{"cp-1", l2.In, l2.Impairment{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.1}},
		{"cp-1", l2.Out, l2.Impairment{Loss: 0.1}},
		{"cp-2", l2.Out, l2.Impairment{Delay: 100 * time.Millisecond}},
		{"cp-3", l2.In, l2.Impairment{}},
	} {
		if got, err := impairment(active, row.node, row.way); err != nil || got != row.want {
			t.Errorf("impairment(%s, %v) = %+v, %v; want %+v", row.node, row.way, got, err, row.want)
		}
	}
}

func TestUndoKnowsWhatIsMeant(t *testing.T) {
	a := ActiveFault{Fault: "freeze", Node: "cp-1"}
	asOwner := ActiveFault{Fault: "freeze", Node: "cp-1", AsOwner: true}
	for what, row := range map[string]struct {
		fault   ActiveFault
		name    string
		holders []string
		want    bool
	}{
		"its name":                {a, "cp-1", nil, true},
		"no name":                 {a, "", nil, true},
		"another's name":          {a, "cp-2", nil, false},
		"the owner that it is":    {a, Owner, []string{"cp-1"}, true},
		"the owner that it isn't": {a, Owner, []string{"cp-2"}, false},
		"the owner that it was":   {asOwner, Owner, []string{"cp-2"}, true},
	} {
		if got := row.fault.meant(row.name, row.holders); got != row.want {
			t.Errorf("%s: meant(%q) = %v; want %v", what, row.name, got, row.want)
		}
	}
}

// An undoing must find its node also while that goes down or boots.
func TestUndoDuringAReboot(t *testing.T) {
	l := start(t, func(s *Spec) { s.ControlPlanes = 1; s.BootTime = 500 * time.Millisecond })
	req := FaultRequest{Fault: "maintenance", Node: "cp-1"}
	for i, wait := range []func() bool{
		func() bool { return true }, // while it goes down
		func() bool { _, n := status(t, l, "cp-1"); return n.Power == PowerBooting },
	} {
		before := last(events(t, l), "cp-1", truth.Booted)
		if err := l.Inject(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node is where the undo shall find it", wait)
		if err := l.Undo(t.Context(), req); err != nil {
			t.Fatalf("Undo(%v) during a reboot (%d) = %v", req, i, err)
		}
		eventually(t, "the node has its configuration again", func() bool { return last(events(t, l), "cp-1", truth.Booted) > before })
		if _, n := status(t, l, "cp-1"); len(n.Faults) != 0 {
			t.Errorf("faults = %v; want none after the undo", n.Faults)
		}
	}
}

// A fault that nobody has seen from outside may as well not be there. What the
// tests inject they name in a literal.
func TestEveryFaultIsSeenByATest(t *testing.T) {
	tests, err := filepath.Glob("*_linux_test.go")
	if err != nil || len(tests) == 0 {
		t.Skipf("the tests' sources are not here: %v", err)
	}
	named := make(map[string]bool)
	for _, path := range tests {
		if path == "fault_linux_test.go" || path == "pure_linux_test.go" { // they run no lab's faults
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					named[text] = true
				}
			}
			return true
		})
	}
	for _, f := range Faults() {
		if !named[f.Name] {
			t.Errorf("no test of a lab injects %s", f.Name)
		}
	}
}

//go:build linux

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// untouched fails the test if, while f runs, a node of the lab is made to go
// down or a process ends.
func (l *testLab) untouched(f func()) {
	l.t.Helper()
	from := monotonic()
	f()
	for _, e := range l.events() {
		if e.At > from && slices.Contains([]string{sequenceStart, linkCut, powerOff, processKilled}, e.Kind) {
			l.t.Errorf("%s of %s (%s); want nothing touched", e.Kind, e.Node, e.Detail)
		}
	}
}

func TestDrillIsRefused(t *testing.T) {
	t.Parallel()
	lab := newLab(t, "--lease-ttl", "5s")
	for _, tt := range []struct {
		name string
		test func(*testing.T, *testLab)
	}{
		{"a dry run touches nothing", testDryRun},
		{"a power switch that refuses the password", testWrongPassword},
		{"one drill at a time", testSecondDrill},
		{"two holders of the VIP", testDrillOnSplitBrain},
		{"another node is off", testDrillWithoutQuorum}, // last, for it starts an election
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, lab.in(t)) })
	}
}

func testDryRun(t *testing.T, lab *testLab) {
	lab.untouched(func() {
		doc := lab.tries(0, "--mode", "hard", "--dry-run")
		if doc.Result != "pass" || len(doc.Drills) != 1 || doc.Drills[0].FaultAt != nil {
			t.Errorf("%+v; want one drill without a fault", doc)
		}
	})
}

func testWrongPassword(t *testing.T, lab *testLab) {
	password := write(t, "password", "wrong")
	edited := lab.sh(`sed 's|passwordFile: .*|passwordFile: ` + password + `|' "$VIPCTL_CONFIG"`)
	config := write(t, "config.yaml", edited.stdout)
	lab.untouched(func() {
		r := lab.on(append(patient, "--mode", "hard", "--config", config)...)
		doc := lab.judge(4, r)
		if doc.Result != "refused" || len(doc.Drills) != 1 || !strings.Contains(doc.Drills[0].Hint, "password") || !strings.Contains(r.stderr, "hint: check username and password") {
			t.Errorf("want it refused for its password\n%s", r)
		}
	})
}

func testSecondDrill(t *testing.T, lab *testLab) {
	state := t.TempDir()
	lab.untouched(func() {
		first := lab.start(state, append(patient, "--mode", "graceful", "--baseline", "10m")...)
		first.until("baseline")
		second := lab.start(state, append(patient, "--mode", "graceful")...).end()
		if second.code != 4 || !strings.Contains(second.stderr, "another drill is running") {
			t.Errorf("a second drill at the same time; want exit code 4\n%s", second)
		}
		first.signal(syscall.SIGINT)
		lab.judge(130, first.end())
		if third := lab.start(state, append(patient, "--mode", "graceful", "--dry-run")...).end(); third.code != 0 {
			t.Errorf("a drill after it; want exit code 0\n%s", third)
		}
	})
}

func testDrillOnSplitBrain(t *testing.T, lab *testLab) {
	owner, _, other := lab.parts()
	lab.fault("inject", "leftover-vip", other)
	defer func() { lab.fault("undo", "leftover-vip"); lab.untilWhole(owner) }()
	lab.untouched(func() {
		if doc := lab.tries(6, "--mode", "graceful"); doc.Result != "splitBrain" || len(doc.Drills) != 0 {
			t.Errorf("%+v; want no drill", doc)
		}
	})
}

func testDrillWithoutQuorum(t *testing.T, lab *testLab) {
	_, _, other := lab.parts()
	lab.fault("inject", "power-off", other)
	lab.untouched(func() {
		if doc := lab.tries(4, "--mode", "graceful"); doc.Result != "refused" || len(doc.Drills) != 0 {
			t.Errorf("%+v; want no drill", doc)
		}
	})
}

package labcmd

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vipctl/vipctl/pkg/lab"
)

// offers runs what a shell asks for the last of the words.
func offers(t *testing.T, words ...string) (list []string, files bool) {
	t.Helper()
	out, err := run(append([]string{"__complete", "lab"}, words...)...)
	lines := strings.Split(out, "\n")
	end := slices.IndexFunc(lines, func(l string) bool { return regexp.MustCompile(`^:\d+$`).MatchString(l) })
	if err != nil || end < 0 {
		t.Fatalf("completing %q = %v\n%s", words, err, out)
	}
	for _, l := range lines[:end] {
		value, _, _ := strings.Cut(l, "\t")
		list = append(list, value)
	}
	return list, lines[end] == ":0"
}

func TestCompletionWithoutALab(t *testing.T) {
	const none = "there-is-none"
	var faults []string
	for _, f := range lab.Faults() {
		faults = append(faults, f.Name)
	}
	for name, row := range map[string]struct {
		words string // the last is what is typed; "" at the end is nothing yet
		want  []string
		files bool
	}{
		"every fault":               {"fault inject ", faults, false},
		"no node without a lab":     {"fault inject freeze ", nil, false},
		"no node for the network":   {"fault inject foreign-host ", nil, false},
		"nothing to undo":           {"fault undo ", nil, false},
		"a direction":               {"fault inject loss cp-1 --direction ", []string{"both", "in", "out"}, false},
		"a stage":                   {"fault inject api-hang cp-1 --after ", []string{"accept", "handshake"}, false},
		"a delay cannot be listed":  {"fault inject delay cp-1 --delay ", nil, false},
		"a node that will be":       {"up --control-planes 2 --workers 1 --vip-nodes cp-1,", []string{"cp-1,cp-2", "cp-1,worker-1"}, false},
		"a style":                   {"run --config-style ", []string{"legacy", "documents"}, false},
		"a binary":                  {"up --kube-apiserver ", nil, true},
		"a format of a list":        {"list -o ", []string{"table", "name", "json", "yaml"}, false},
		"a format of a started lab": {"up -o ", []string{"table", "json", "yaml"}, false},
		"no file for up":            {"up ", nil, false},
		"what power does":           {"power ", []string{"on", "off", "cycle"}, false},
		"a command in the lab":      {"exec -- ", nil, true},
		"no third word of a fault":  {"fault inject freeze cp-1 ", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			words := append([]string{"--name", none}, strings.Split(row.words, " ")...)
			if got, files := offers(t, words...); !slices.Equal(got, row.want) || files != row.files {
				t.Errorf("completing %q = %q, files %v; want %q, files %v", row.words, got, files, row.want, row.files)
			}
		})
	}
}

// Each version that is offered is one that a lab can have.
func TestCompletedVersions(t *testing.T) {
	list, _ := offers(t, "up", "--talos-version", "")
	for _, v := range list {
		spec := lab.Spec{TalosVersion: v}.Default()
		if err := spec.Validate(); err != nil {
			t.Errorf("completion offers --talos-version %s; Validate() = %v", v, err)
		}
	}
	if len(list) < 2 {
		t.Errorf("completion offers %q as versions; want several", list)
	}
}

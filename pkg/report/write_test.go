package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// documents are one or more of each kind. The name before the dot is that of
// the schema.
var documents = map[string]func() any{
	"ownership.owned":        func() any { return someOwnership() },
	"ownership.splitbrain":   func() any { return someSplitBrain() },
	"ownership.trouble":      func() any { return someTrouble() },
	"ownership.election":     func() any { return electionOf(someElection()) },
	"etcdreport.degraded":    func() any { return someEtcd() },
	"doctorreport.fail":      func() any { return someDoctor() },
	"drillreport.three":      func() any { return someRun() },
	"versionreport.dev":      func() any { return NewVersion("v0.1.0", "abc", "", "go1.26", "linux/amd64") },
	"error.hinted":           func() any { return NewError("no talosconfig", "set TALOSCONFIG", 1) },
	"snapshot.degraded":      func() any { return someCluster() },
	"ownershipevent.look":    func() any { return NewLook(someOwnership())[0] },
	"ownershipevent.change":  func() any { return someEvents()[1] },
	"ownershiplist.three":    func() any { return someOwnershipList() },
	"etcdreportlist.three":   func() any { return NewEtcdList(someItems(NewEtcd(someCluster(), 0))) },
	"doctorreportlist.three": func() any { return NewDoctorList(someItems(someDoctor())) },
}

func TestGolden(t *testing.T) {
	for name, document := range documents {
		for _, format := range Formats() {
			doc := document()
			_, tabular := doc.(Tabular)
			if !tabular && format != JSON || format == YAML && name != "error.hinted" && name != "etcdreport.degraded" {
				continue
			}
			var out bytes.Buffer
			if err := Write(&out, format, doc); err != nil {
				t.Errorf("Write(%s, %s): %v", format, name, err)
				continue
			}
			golden(t, "testdata/"+name+"."+format+".golden", out.Bytes())
		}
	}
	var out bytes.Buffer
	if err := Write(&out, Table, somePlan()); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/plan.table.golden", out.Bytes())
}

func TestTablesArePlain(t *testing.T) {
	for name, document := range documents {
		doc, ok := document().(Tabular)
		if !ok {
			continue
		}
		var plain, painted bytes.Buffer
		if err := errors.Join(Write(&plain, Wide, doc), Style{Color: true}.Write(&painted, Wide, doc)); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(plain.String(), "\x1b\t│─|+\u00a0") && name != "drillreport.three" {
			t.Errorf("%s: a plain table has lines or colours:\n%s", name, plain.String())
		}
		for line := range strings.Lines(plain.String()) {
			if strings.HasSuffix(line, " \n") {
				t.Errorf("%s: spaces at the end of %q", name, line)
			}
		}
		if got := unpainted(painted.String()); got != plain.String() {
			t.Errorf("%s: colour changes the text:\n%s\nwant\n%s", name, got, plain.String())
		}
	}
	var painted bytes.Buffer
	if err := (Style{Color: true}).Write(&painted, Table, someDoctor()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(painted.String(), "\x1b[31mfail\x1b[0m") {
		t.Errorf("fail is not red in %q", painted.String())
	}
}

// unpainted removes the escape sequences of colour: ESC [ ... m.
func unpainted(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}

func TestWriteRefuses(t *testing.T) {
	var out bytes.Buffer
	var format *FormatError
	if err := Write(&out, "xml", someDoctor()); !errors.As(err, &format) || format.Hint() != "one of table, wide, json, yaml" {
		t.Errorf("Write(xml) = %v; want a FormatError that lists the formats", err)
	}
	if err := Write(&out, Table, NewError("x", "", 1)); err == nil {
		t.Error("Write(table, error) = nil; want an error, for it has no table form")
	}
	if out.Len() > 0 {
		t.Errorf("a refused Write printed %q", out.String())
	}
}

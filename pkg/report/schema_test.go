package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	generate "github.com/invopop/jsonschema"
	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vipctl/vipctl/pkg/cluster"
	"github.com/vipctl/vipctl/pkg/config"
)

const schemaDir = "../../schemas/"

// kinds are the types that have a schema, by the name of its file. Only the
// configuration is closed to unknown keys: documents may gain fields.
var kinds = map[string]struct {
	of     any
	kind   string
	closed bool
}{
	"ownership":        {of: Ownership{}, kind: KindOwnership},
	"ownershipevent":   {of: OwnershipEvent{}, kind: KindEvent},
	"etcdreport":       {of: EtcdReport{}, kind: KindEtcd},
	"doctorreport":     {of: DoctorReport{}, kind: KindDoctor},
	"drillreport":      {of: DrillReport{}, kind: KindDrill},
	"versionreport":    {of: VersionReport{}, kind: KindVersion},
	"error":            {of: ErrorReport{}, kind: KindError},
	"snapshot":         {of: cluster.Snapshot{}, kind: cluster.Kind},
	"config":           {of: config.Config{}, closed: true},
	"ownershiplist":    {of: OwnershipList{}, kind: KindOwnershipList},
	"etcdreportlist":   {of: EtcdReportList{}, kind: KindEtcdList},
	"doctorreportlist": {of: DoctorReportList{}, kind: KindDoctorList},
}

func TestSchemasAreFresh(t *testing.T) {
	var want []string
	for name, k := range kinds {
		want = append(want, name+".json")
		data, err := json.MarshalIndent(schemaOf(name, k.of, k.kind, k.closed), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, schemaDir+name+".json", append(data, '\n'))
	}
	entries, err := os.ReadDir(schemaDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !slices.Contains(want, e.Name()) {
			t.Errorf("schemas/%s belongs to no type", e.Name())
		}
	}
}

func schemaOf(name string, v any, kind string, closed bool) *generate.Schema {
	r := &generate.Reflector{ExpandedStruct: true, AllowAdditionalProperties: !closed, Mapper: mapType, Anonymous: true}
	s := r.Reflect(v)
	s.ID = generate.ID("https://github.com/vipctl/vipctl/blob/main/schemas/" + name + ".json")
	fix := func(property, value string) {
		if p, ok := s.Properties.Get(property); ok && value != "" {
			p.Const = value
		}
	}
	fix("apiVersion", APIVersion)
	fix("kind", kind)
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		if p.Value.Ref == "#/$defs/"+reflect.TypeOf(v).Name() { // the document itself, which is no definition
			p.Value.Ref = "#"
		}
	}
	return s
}

// mapType knows the types that write themselves.
func mapType(t reflect.Type) *generate.Schema {
	switch {
	case t == reflect.TypeFor[netip.Addr](), t == reflect.TypeFor[netip.Prefix]():
		return &generate.Schema{Type: "string"}
	case t == reflect.TypeFor[config.Duration]():
		return &generate.Schema{Type: "string", Examples: []any{"60s", "1m30s"}}
	case t.PkgPath() == reflect.TypeFor[cluster.Snapshot]().PkgPath() && strings.HasPrefix(t.Name(), "Seen["):
		return seenSchema(t)
	case strings.HasPrefix(t.Name(), "Item["):
		return itemSchema(t)
	default:
		return nil
	}
}

// seenSchema is a fact: null where nobody asked, else a value or an error.
func seenSchema(t reflect.Type) *generate.Schema {
	value, _ := t.FieldByName("value")
	inner := (&generate.Reflector{DoNotReference: true, AllowAdditionalProperties: true, Mapper: mapType, Anonymous: true}).ReflectFromType(value.Type)
	inner.Version = ""
	either := func(name string, s *generate.Schema) *generate.Schema {
		p := generate.NewProperties()
		p.Set(name, s)
		return &generate.Schema{Type: "object", Properties: p, Required: []string{name}}
	}
	return &generate.Schema{OneOf: []*generate.Schema{
		{Type: "null"}, either("value", inner), either("error", &generate.Schema{Type: "string"}),
	}}
}

// itemSchema is an item of a list: a document, or the error of a context.
func itemSchema(t reflect.Type) *generate.Schema {
	either := &generate.Schema{}
	for _, name := range []string{"Document", "Failure"} {
		field, _ := t.FieldByName(name)
		inner := (&generate.Reflector{DoNotReference: true, AllowAdditionalProperties: true, Mapper: mapType, Anonymous: true}).ReflectFromType(field.Type.Elem())
		inner.Version = ""
		for _, k := range kinds {
			if kind, ok := inner.Properties.Get("kind"); ok && reflect.TypeOf(k.of) == field.Type.Elem() {
				kind.Const = k.kind
			}
		}
		if name == "Failure" {
			inner.Required = append(inner.Required, "context")
		}
		either.OneOf = append(either.OneOf, inner)
	}
	return either
}

func TestDocumentsKeepToTheirSchemas(t *testing.T) {
	covered := make(map[string]bool)
	for name, document := range documents {
		kind, _, _ := strings.Cut(name, ".")
		covered[kind] = true
		if err := check(t, kind, document()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if !covered[kind] && kind != "config" {
			t.Errorf("no document of kind %s", kind)
		}
	}
}

func TestSchemasRefuse(t *testing.T) {
	badVerdict, nullDrills := someDoctor(), someRun()
	badVerdict.Verdict = "unknown"
	nullDrills.Drills = nil
	for _, tt := range []struct {
		name, schema string
		v            any
	}{
		{"another kind", "ownership", someDoctor()},
		{"a verdict that is none", "doctorreport", badVerdict},
		{"null for a list", "drillreport", nullDrills},
		{"an item of another kind", "etcdreportlist", map[string]any{"apiVersion": APIVersion, "kind": KindEtcdList, "items": []any{someOwnership()}}},
		{"a failed item without its context", "ownershiplist", NewOwnershipList([]Item[Ownership]{{Failure: NewError("x", "", 1)}})},
		{"a missing field", "error", map[string]any{"apiVersion": APIVersion, "kind": KindError, "error": "x"}},
		{"an unknown key in the configuration", "config", map[string]any{"apiVersion": APIVersion, "vip": "x"}},
	} {
		if err := check(t, tt.schema, tt.v); err == nil {
			t.Errorf("%s: the schema %s takes it", tt.name, tt.schema)
		}
	}
	if err := check(t, "config", config.Config{
		APIVersion: config.APIVersion, VIPs: []netip.Addr{someVIP},
		Nodes: map[string]config.Node{"cp-1": {Power: &config.Power{Driver: config.DriverRedfish, URL: "https://bmc.example"}}},
	}); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
}

// check validates v, as JSON, by the schema that lies in schemas/.
func check(t *testing.T, name string, v any) error {
	t.Helper()
	schema, err := validate.NewCompiler().Compile(schemaDir + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validate.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

package archtest

import "strings"

// floor is a storey of the house; sees says which others it looks down on.
type floor string

const (
	domain  floor = "domain"  // values only
	adapter floor = "adapter" // one outside world each
	engine  floor = "engine"  // judges and drives, does no I/O
	output  floor = "output"
	wiring  floor = "wiring" // joins engines and adapters
	entry   floor = "main"
	lab     floor = "lab"  // an island: knows nothing of vipctl
	leaf    floor = "leaf" // knows nothing of the house
	tool    floor = "tool" // measures and torments the lab; ships with nothing
)

// sees lists the floors that a floor may look down on. Engines and adapters
// do not see each other; nobody but wiring sees an adapter.
var sees = map[floor][]floor{
	domain:  {},
	adapter: {domain},
	engine:  {domain},
	output:  {domain, engine},
	wiring:  {domain, adapter, engine, output, leaf},
	entry:   {wiring},
	lab:     {},
	leaf:    {},
	tool:    {lab, adapter},
}

// neighbours are the imports that do not point to a floor below.
var neighbours = map[string][]string{
	"pkg/cluster":         {"pkg/vip"},
	"pkg/chaos/fault":     {"pkg/chaos"},
	"pkg/commands":        {"pkg/commands/labcmd"},
	"pkg/commands/labcmd": {"pkg/lab", "pkg/lab/..."},
	"pkg/lab":             {"pkg/lab/..."},
	"pkg/lab/...":         {"pkg/lab/..."},
	"hack/bench":          {"pkg/lab/...", "hack/procfs"},
	"hack/soak":           {"pkg/lab/...", "hack/procfs"},
}

// room is a package: where it lives, and what of ours it may import and why.
// "pkg/x/..." stands for every package below pkg/x, but not for pkg/x itself.
type room struct {
	floor     floor
	mayImport map[string]string
}

// plan is the house. Packages that are planned and not yet there may be in it.
var plan = map[string]room{
	"pkg/vip":     {floor: domain},
	"pkg/quorum":  {floor: domain},
	"pkg/outage":  {floor: domain},
	"pkg/cluster": {domain, map[string]string{"pkg/vip": "what the nodes hold becomes claims"}},

	"pkg/talos":  {adapter, facts},
	"pkg/kube":   {adapter, facts},
	"pkg/etcd":   {adapter, facts},
	"pkg/arp":    {adapter, facts},
	"pkg/power":  {floor: adapter},
	"pkg/probe":  {adapter, map[string]string{"pkg/outage": "a probe makes samples"}},
	"pkg/config": {floor: adapter},

	"pkg/checks": {engine, map[string]string{
		"pkg/cluster": "a check judges a snapshot",
		"pkg/vip":     "ownership is a verdict of the domain",
		"pkg/quorum":  "how many voters decide",
	}},
	"pkg/chaos": {engine, map[string]string{
		"pkg/outage": "a drill ends in windows",
		"pkg/vip":    "a drill knows the owner before and after",
	}},
	"pkg/chaos/fault": {engine, map[string]string{"pkg/chaos": "implements its Fault"}},

	"pkg/report": {output, map[string]string{
		"pkg/checks":  "prints findings",
		"pkg/chaos":   "prints drills",
		"pkg/outage":  "prints windows and their bounds",
		"pkg/cluster": "prints nodes and members",
		"pkg/vip":     "prints verdicts",
	}},

	"pkg/commands": {wiring, map[string]string{
		"pkg/vip":             "owner judges the claims it collected",
		"pkg/outage":          "samples become windows",
		"pkg/cluster":         "one snapshot from many adapters",
		"pkg/talos":           "adapter",
		"pkg/kube":            "adapter",
		"pkg/etcd":            "adapter",
		"pkg/arp":             "adapter",
		"pkg/power":           "adapter",
		"pkg/probe":           "adapter",
		"pkg/config":          "adapter",
		"pkg/checks":          "engine",
		"pkg/chaos":           "engine",
		"pkg/chaos/fault":     "engine",
		"pkg/report":          "output",
		"pkg/commands/labcmd": "one line in the command tree; the only way to the lab",
		"internal/cli":        "streams, exit codes, hints",
	}},
	"pkg/commands/labcmd": {wiring, map[string]string{
		"pkg/lab":      "brings the lab up and down",
		"pkg/lab/...":  "the hidden processes of which the lab is made",
		"internal/cli": "streams, exit codes, hints",
	}},

	"cmd/vipctl": {entry, map[string]string{"pkg/commands": "os.Exit(commands.Main())"}},

	"pkg/lab":           {lab, parts},
	"pkg/lab/apiserver": {lab, parts},
	"pkg/lab/bmc":       {lab, parts},
	"pkg/lab/etcd":      {lab, parts},
	"pkg/lab/fleet":     {lab, parts},
	"pkg/lab/l2":        {lab, parts},
	"pkg/lab/labtest":   {floor: lab},
	"pkg/lab/netns":     {lab, parts},
	"pkg/lab/node":      {lab, parts},
	"pkg/lab/operator":  {lab, parts},
	"pkg/lab/pki":       {lab, parts},
	"pkg/lab/process":   {lab, parts},
	"pkg/lab/talosapi":  {lab, parts},
	"pkg/lab/truth":     {lab, parts},

	"hack/bench":  {tool, timing},
	"hack/soak":   {tool, torment},
	"hack/procfs": {floor: tool},

	"internal/cli":      {floor: leaf},
	"internal/archtest": {floor: leaf},
}

var (
	// facts is what an adapter needs that reports on a cluster.
	facts = map[string]string{
		"pkg/cluster": "the facts it collects",
		"pkg/vip":     "the claims it makes",
	}
	// parts is what the lab is made of.
	parts = map[string]string{"pkg/lab/...": "the lab's own parts"}
	// timing is what the bench needs: both sides, to time one against the other.
	timing = map[string]string{
		"pkg/lab":     "brings the lab up and down",
		"pkg/lab/...": "the instants of its log, and the name of its processes",
		"hack/procfs": "what the kernel tells of the lab's processes",
		"pkg/talos":   "times a collection, beside a bare client's",
	}
	// torment is what a tool needs that starts labs.
	torment = map[string]string{
		"pkg/lab":     "brings the lab up and down",
		"pkg/lab/...": "the instants of its log, and the name of its processes",
		"hack/procfs": "what the kernel tells of the lab's processes",
	}
)

// worlds are the libraries that each speak to one outside world, and the
// packages that know that world. Tests may use any of them.
var worlds = map[string][]string{
	"github.com/siderolabs/talos":     {"pkg/talos", "pkg/lab", "pkg/lab/...", "hack/bench"},
	"github.com/cosi-project/runtime": {"pkg/talos", "pkg/lab", "pkg/lab/...", "hack/bench"},
	"go.etcd.io/etcd":                 {"pkg/etcd", "pkg/lab", "pkg/lab/..."},
	"google.golang.org/grpc":          {"pkg/talos", "pkg/etcd", "pkg/lab", "pkg/lab/..."},
	"k8s.io":                          {"pkg/kube", "pkg/lab", "pkg/lab/..."},
	"github.com/mdlayher":             {"pkg/arp", "pkg/lab", "pkg/lab/..."},
	"github.com/vishvananda/netlink":  {"pkg/arp", "pkg/lab", "pkg/lab/..."},
	"github.com/stmcginnis/gofish":    {"pkg/power"},
	"github.com/spf13/cobra":          {"pkg/commands", "pkg/commands/labcmd"},
}

// pure is what a floor without I/O may import from elsewhere: everything that
// turns values into values.
var pure = map[floor][]string{
	domain: values,
	engine: append(strings.Fields("context io sync sync/atomic golang.org/x/sync/errgroup"), values...),
}

var values = strings.Fields(`
	bytes cmp container/heap encoding encoding/base64 encoding/binary encoding/hex
	encoding/json errors fmt iter maps math math/bits math/rand/v2 net/netip regexp
	slices sort strconv strings time unicode unicode/utf8`)

// impure are the functions of packages in pure that do reach outside: the
// process's own streams, and the clock. Engines wait and take the time, in
// tests on a fake clock; the domain is told.
var impure = map[floor][]string{
	domain: append(strings.Fields(`time.Now time.Since time.Until time.Sleep
		time.After time.AfterFunc time.NewTimer time.NewTicker time.Tick`), streams...),
	engine: streams,
}

var streams = strings.Fields(`fmt.Print fmt.Printf fmt.Println fmt.Scan fmt.Scanf fmt.Scanln`)

package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// kubectl runs the machine's own kubectl on the workstation, with a home of
// the test's.
type kubectl struct {
	t    *testing.T
	lab  *Lab
	bin  string
	home string
}

func newKubectl(t *testing.T, l *Lab, bin string) kubectl {
	return kubectl{t: t, lab: l, bin: bin, home: t.TempDir()}
}

// needKubectl returns where kubectl is.
func needKubectl(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("there is no kubectl on PATH")
	}
	if bin, err = filepath.EvalSymlinks(bin); err != nil {
		t.Fatal(err)
	}
	return bin
}

func (k kubectl) command(args []string) []string {
	return slices.Concat([]string{"env", "HOME=" + k.home, k.bin, "--cache-dir=" + k.home, "--request-timeout=5s"}, args)
}

// run returns what kubectl prints, and its exit code.
func (k kubectl) run(args ...string) (string, int) {
	k.t.Helper()
	out, code, err := runIn(k.t.Context(), k.t, k.lab, nil, k.command(args)...)
	if err != nil {
		k.t.Fatalf("kubectl %v = %v", args, err)
	}
	return out, code
}

// expect fails unless kubectl does it and prints that.
func (k kubectl) expect(want string, args ...string) {
	k.t.Helper()
	if out, code := k.run(args...); code != 0 || !strings.Contains(out, want) {
		k.t.Errorf("kubectl %v = %d %q; want 0 and %q", args, code, out, want)
	}
}

// eventually waits until kubectl does it and prints that.
func (k kubectl) eventually(want string, args ...string) {
	k.t.Helper()
	eventually(k.t, fmt.Sprintf("kubectl %v prints %q", args, want), func() bool {
		out, code := k.run(args...)
		return code == 0 && strings.Contains(out, want)
	})
}

// stream is a kubectl that runs on.
type stream struct {
	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *stream) has(want string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.out.String(), want)
}

// watch runs kubectl until stop is called, or the test ends.
func (k kubectl) watch(args ...string) (s *stream, stop func()) {
	k.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		k.t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		k.t.Fatal(err)
	}
	s = &stream{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(s, r) })
	wg.Go(func() {
		args := slices.Concat([]string{"env", "HOME=" + k.home, k.bin, "--cache-dir=" + k.home}, args)
		_, _ = k.lab.Exec(ctx, Command{Args: args, Env: os.Environ(), Dir: "/", Stdin: null, Stdout: w, Stderr: w})
		_ = w.Close()
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait(); _, _ = r.Close(), null.Close() })
	k.t.Cleanup(stop)
	return s, stop
}

// TestKubectl drives the lab with a stock kubectl through the VIP, before,
// during and after a failover.
func TestKubectl(t *testing.T) {
	bin := needKubectl(t)
	l := start(t, func(s *Spec) { s.LeaseTTL = 2 * time.Second })
	testKubectl(t, newKubectl(t, l, bin))
	t.Run("an unready apiserver says so and serves", func(t *testing.T) { testUnready(t, l, bin) })
	t.Run("a shutdown cordons the node until it is back", func(t *testing.T) { testCordon(t, l, bin) })
}

// TestKubectlWithRealAPIServer does the same with Kubernetes' own.
func TestKubectlWithRealAPIServer(t *testing.T) {
	apiserver := os.Getenv("VIPCTL_KUBE_APISERVER")
	if apiserver == "" {
		t.Skip("VIPCTL_KUBE_APISERVER names no kube-apiserver; hack/kube-apiserver builds one")
	}
	bin := needKubectl(t)
	l := start(t, func(s *Spec) { s.LeaseTTL, s.KubeAPIServer = 2*time.Second, apiserver })
	testKubectl(t, newKubectl(t, l, bin))
}

func testKubectl(t *testing.T, k kubectl) {
	for _, p := range testSpec("").places() {
		k.eventually("control-plane", "get", "nodes", p.Name, "--no-headers")
		k.expect("True "+p.Addr.String()+" "+p.Name+";", "get", "node", p.Name, "-o",
			`jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.addresses[*].address};`)
	}
	out, code := k.run("get", "nodes", "--no-headers")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); code != 0 || len(f) != 5 || f[1] != "Ready" || f[2] != "control-plane" || f[4] != KubernetesVersion {
			t.Errorf("kubectl get nodes = %d %q; want a ready control plane of %s in each line", code, out, KubernetesVersion)
		}
	}
	k.expect("is running at https://10.5.0.50:6443", "cluster-info")
	k.expect("[+]etcd ok", "get", "--raw", "/readyz?verbose")
	k.expect("configmap/before created", "create", "configmap", "before", "--from-literal=is=here")
	k.expect("configmap/gone created", "create", "configmap", "gone")
	k.expect("deleted", "delete", "configmap", "gone")
	k.expect("yes", "auth", "can-i", "delete", "nodes")
	for _, part := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		k.eventually(part+"-cp-3", "get", "pods", "-n", "kube-system", "-l", "k8s-app="+part)
	}
	k.eventually("kube-apiserver-cp-1", "get", "pods", "-n", "kube-system", "--field-selector", "spec.nodeName=cp-1,status.phase=Running")
	nodes, stop := k.watch("get", "nodes", "-w", "--show-labels")
	eventually(t, "the watch shows the nodes", func() bool { return nodes.has("cp-1") && nodes.has("cp-3") })
	k.expect("labeled", "label", "node", k.owner(), "drill=begun")
	eventually(t, "the watch shows what happens", func() bool { return nodes.has("drill=begun") })

	old := k.owner()
	boot := k.bootID(old)
	k.failover()

	// The old watch hears nothing until kubectl misses its peer, after 30 s
	// (golang.org/x/net/http2 ReadIdleTimeout as client-go sets it): nobody
	// waits for that.
	stop()
	nodes, _ = k.watch("get", "nodes", "-w", "--show-labels")

	k.expect("here", "get", "configmap", "before", "-o", "jsonpath={.data.is}")
	eventually(t, "the new watch shows the nodes", func() bool { return nodes.has("drill=begun") })
	k.expect("labeled", "label", "node", k.owner(), "drill=done")
	eventually(t, "the watch shows what happened after the failover", func() bool { return nodes.has("drill=done") })

	if err := k.lab.Undo(t.Context(), FaultRequest{Fault: "power-off", Node: old}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old owner's kubelet reports its new boot", func() bool { return k.bootID(old) != boot })
	k.eventually(k.bootID(old), "get", "pod", "-n", "kube-system", "kube-apiserver-"+old, "-o", "yaml")
}

// bootID is the boot that a node's kubelet reported.
func (k kubectl) bootID(node string) (id string) {
	k.t.Helper()
	eventually(k.t, "kubectl tells the boot of "+node, func() bool {
		out, code := k.run("get", "node", node, "-o", "jsonpath={.status.nodeInfo.bootID}")
		id = out
		return code == 0 && len(id) == len("88a2e818-fc67-415f-97ff-47aa678565ac")
	})
	return id
}

// owner returns who holds the VIP.
func (k kubectl) owner() string {
	k.t.Helper()
	held := holders(events(k.t, k.lab), DefaultVIP)
	if len(held) != 1 {
		k.t.Fatalf("%s is held by %v; want one node", DefaultVIP, held)
	}
	return held[0]
}

// persist runs kubectl again and again, while the VIP moves, until it prints
// that. The returned function says how often it failed before.
func (k kubectl) persist(want string, args ...string) (failed func() int) {
	tries := make(chan int, 1)
	go func() {
		for n := 0; ; n++ {
			out, code, err := runIn(k.t.Context(), k.t, k.lab, nil, k.command(args)...)
			if err != nil || code == 0 && strings.Contains(out, want) {
				tries <- n
				return
			}
		}
	}()
	return func() (n int) {
		k.t.Helper()
		eventually(k.t, fmt.Sprintf("kubectl %v prints %q", args, want), func() bool {
			select {
			case n = <-tries:
				return true
			default:
				return false
			}
		})
		return n
	}
}

// askThroughout begins to ask while the VIP has no owner. The returned function
// waits for the answers.
func (k kubectl) askThroughout() (await func()) {
	asked := map[string]func() int{
		"get nodes":    k.persist("cp-2", "get", "nodes"),
		"cluster-info": k.persist("is running at https://10.5.0.50:6443", "cluster-info"),
		"get --raw":    k.persist("[+]etcd ok", "get", "--raw", "/readyz?verbose"),
		"get -w":       k.persist("cp-2", "get", "nodes", "-w", "--request-timeout=4s"), // which ends the watch, in order
	}
	return func() {
		k.t.Helper()
		for what, failed := range asked {
			k.t.Logf("kubectl %s in a failover failed %d times before it worked", what, failed())
		}
	}
}

// failover cuts the owner's power, and asks and creates a config map all the
// while, as often as it takes. The map must come to be once.
func (k kubectl) failover() {
	k.t.Helper()
	old := k.owner()
	if err := k.lab.Inject(k.t.Context(), FaultRequest{Fault: "power-off", Node: old}); err != nil {
		k.t.Fatal(err)
	}
	asked := k.askThroughout()
	defer asked()
	created := 0
	eventually(k.t, "kubectl says that the config map exists", func() bool {
		out, code := k.run("create", "configmap", "during", "--from-literal=n=1")
		if code == 0 {
			created++
		}
		return code == 0 || strings.Contains(out, "already exists")
	})
	if out, code := k.run("create", "configmap", "during", "--from-literal=n=2"); code == 0 || !strings.Contains(out, "already exists") {
		k.t.Errorf("creating it again = %d %q; want that it exists", code, out)
	}
	k.expect("configmap/during", "get", "configmap", "during", "-o", "name")
	if created > 1 {
		k.t.Errorf("the config map was created %d times; want once", created)
	}
	if now := k.owner(); now == old || last(events(k.t, k.lab), now, truth.AddressAdded) < last(events(k.t, k.lab), old, truth.LinkCut) {
		k.t.Errorf("the owner after the power cut is %s; want another than %s", now, old)
	}
}

// testUnready injects the fault and looks at it through the owner's own
// address, then takes it back.
func testUnready(t *testing.T, l *Lab, bin string) {
	k := newKubectl(t, l, bin)
	owner := k.owner()
	req := FaultRequest{Fault: "apiserver-unready", Node: owner}
	if err := l.Inject(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if out, code := k.run("get", "--raw", "/readyz"); code == 0 || !strings.Contains(out, "[-]informer-sync failed: reason withheld") {
		t.Errorf("kubectl get --raw /readyz = %d %q; want that informer-sync failed", code, out)
	}
	k.expect("ok", "get", "--raw", "/livez")
	k.expect(owner, "get", "nodes")
	k.eventually("0/1", "get", "pods", "-n", "kube-system", "kube-apiserver-"+owner)
	if now := k.owner(); now != owner {
		t.Errorf("the owner is %s; want %s, for Talos does not look at readiness", now, owner)
	}
	if err := l.Undo(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	k.expect("ok", "get", "--raw", "/readyz")
	k.eventually("1/1", "get", "pods", "-n", "kube-system", "kube-apiserver-"+owner)
}

// testCordon shuts down a node that does not hold the VIP, and powers it on.
func testCordon(t *testing.T, l *Lab, bin string) {
	k := newKubectl(t, l, bin)
	node := testSpec("").places()[0]
	if k.owner() == node.Name {
		node = testSpec("").places()[1]
	}
	if err := (reach{t, l}).talos(node.Addr.String(), "admin").Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.eventually("NotReady,SchedulingDisabled", "get", "node", node.Name)
	eventually(t, node.Name+" is off", func() bool { _, n := status(t, l, node.Name); return n.Power == PowerOff })
	req := FaultRequest{Fault: "power-off", Node: node.Name}
	if err := l.Inject(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if err := l.Undo(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	k.eventually(" Ready ", "get", "node", node.Name)
	eventually(t, node.Name+" is schedulable again", func() bool {
		out, code := k.run("get", "node", node.Name, "-o", "jsonpath=<{.spec.unschedulable}{.metadata.annotations}>")
		return code == 0 && !strings.Contains(out, "true")
	})
}

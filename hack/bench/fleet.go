//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipctl/vipctl/hack/procfs"
	"github.com/vipctl/vipctl/pkg/lab/fleet"
	"github.com/vipctl/vipctl/pkg/lab/netns"
)

// What "vipctl owner --all-contexts" must stay below on two cores, which the
// fleet shares.
const (
	goalFleetWall  = 5.0   // seconds, for 1,000 nodes
	goalFleetRSS   = 250.0 // MiB
	goalFleetRatio = 1.3   // of the times per node of the greatest and the least fleet
)

// fleetOptions are the flags of "bench fleet".
type fleetOptions struct {
	sizes  []int
	rounds int
	vipctl string
	format string
	inside bool
}

func parseFleet(args []string) (o fleetOptions, err error) {
	flags := flag.NewFlagSet("bench fleet", flag.ContinueOnError)
	sizes := flags.String("nodes", "100,1000", "how many nodes the fleets have, three a cluster")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each fleet is asked")
	flags.StringVar(&o.vipctl, "vipctl", "", "the binary to measure (default: one built of this tree)")
	flags.StringVar(&o.format, "o", "table", "table or json")
	flags.BoolVar(&o.inside, "inside", false, "it is in a network namespace of its own already")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return o, fmt.Errorf("-nodes: %w", err)
		}
		if _, err := fleet.Plan(n); err != nil {
			return o, fmt.Errorf("-nodes: %w", err)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.rounds < 1 || o.format != "table" && o.format != "json" {
		return o, errors.New("-rounds must be above 0, and -o table or json")
	}
	return o, nil
}

// benchFleet measures how long vipctl takes to ask a fleet who has its VIPs. It
// runs in a network namespace of its own, where all addresses are loopback.
func benchFleet(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseFleet(args)
	if err != nil {
		return err
	}
	if !o.inside {
		return inNamespace(ctx, append([]string{"fleet", "-inside"}, args...), out)
	}
	if err := netns.Configure("lo", fleet.Prefix); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vipctl-fleet-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.vipctl == "" {
		o.vipctl = filepath.Join(dir, "vipctl")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.vipctl, "github.com/vipctl/vipctl/cmd/vipctl")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("go build: %w", err)
		}
	}
	r := report{Bench: fmt.Sprintf("owner --all-contexts, %d rounds", o.rounds), Machine: thisMachine()}
	var all []fleetTimes
	for _, nodes := range o.sizes {
		times, err := measureFleet(ctx, o, dir, nodes)
		if err != nil {
			return fmt.Errorf("%d nodes: %w", nodes, err)
		}
		all = append(all, times)
	}
	r.Figures = fleetFigures(all)
	return r.write(out, o.format)
}

// inNamespace runs this binary again in a network namespace, and in a user
// namespace unless root does.
func inNamespace(ctx context.Context, args []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGTERM}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

// measureFleet asks one fleet, which a process of its own serves: what vipctl
// inherits of this one's memory until it is executed would count as its own.
func measureFleet(ctx context.Context, o fleetOptions, dir string, nodes int) (times fleetTimes, err error) {
	times.nodes = nodes
	clusters, err := fleet.Plan(nodes)
	if err != nil {
		return times, err
	}
	config := filepath.Join(dir, fmt.Sprintf("talosconfig-%d", nodes))
	served, stop, err := startFleet(ctx, nodes, config)
	if err != nil {
		return times, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for round := range o.rounds + 1 {
		cmd := exec.CommandContext(ctx, o.vipctl, "owner", "--all-contexts", "-o", "json", "--talosconfig", config)
		var answer bytes.Buffer
		cmd.Stdout, cmd.Stderr = &answer, os.Stderr
		// Not dir itself: vipctl looks there for a directory of its own name, which is the binary's.
		cmd.Env = append(os.Environ(), "KUBECONFIG=", "VIPCTL_CONFIG=", "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
		before := served()
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			return times, fmt.Errorf("vipctl: %w", err)
		}
		wall := time.Since(begin)
		right, err := rightOwners(answer.Bytes(), clusters)
		if err != nil {
			return times, err
		}
		fmt.Fprintf(os.Stderr, "%d nodes, round %d: %d of %d VIPs owned by the right node, %.2f s\n", nodes, round, right, len(clusters), wall.Seconds())
		if round == 0 {
			continue // it warms the page cache and the fleet up
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return times, errors.New("the kernel tells nothing of the resources used")
		}
		cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		times.add(wall, cpu, served()-before, usage.Maxrss, right)
	}
	return times, nil
}

// startFleet starts "bench serve-fleet" and returns when it serves. served is
// the CPU time that it has taken by now.
func startFleet(ctx context.Context, nodes int, config string) (served func() time.Duration, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "serve-fleet", strconv.Itoa(nodes), config)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	until, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() error { return errors.Join(until.Close(), cmd.Wait()) }
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != ready {
		return nil, nil, errors.Join(errors.New("the fleet does not come up"), err, stop())
	}
	return func() time.Duration {
		below, _ := procfs.Below(os.Getpid()) // nothing is what it says of one that it cannot see
		return procfs.CPU(slices.DeleteFunc(below, func(p procfs.Process) bool { return p.PID != cmd.Process.Pid }))
	}, stop, nil
}

const ready = "ready\n"

// serveFleet serves a fleet until its stdin ends.
func serveFleet(_ context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: bench serve-fleet NODES TALOSCONFIG (bench fleet runs it)")
	}
	nodes, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	clusters, err := fleet.Plan(nodes)
	if err != nil {
		return err
	}
	f, err := fleet.Serve(clusters)
	if err != nil {
		return err
	}
	defer f.Close()
	config, err := f.Talosconfig()
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[1], config, 0o600); err != nil {
		return err
	}
	if _, err := io.WriteString(out, ready); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// rightOwners counts the clusters of an OwnershipList whose VIP is owned by the
// node that holds it.
func rightOwners(list []byte, clusters []fleet.Cluster) (right int, err error) {
	var doc struct {
		Items []struct {
			Context string
			VIPs    []struct{ VIP, Verdict, Owner string }
		}
	}
	if err := json.Unmarshal(list, &doc); err != nil {
		return 0, err
	}
	if len(doc.Items) != len(clusters) {
		return 0, fmt.Errorf("%d items for %d clusters", len(doc.Items), len(clusters))
	}
	for i, c := range clusters {
		item := doc.Items[i]
		if item.Context != c.Name {
			return 0, fmt.Errorf("item %d is of %q, not of %s", i, item.Context, c.Name)
		}
		if len(item.VIPs) == 1 && item.VIPs[0].VIP == c.VIP.String() && item.VIPs[0].Verdict == "owned" && item.VIPs[0].Owner == c.Nodes[c.Owner].Name {
			right++
		}
	}
	return right, nil
}

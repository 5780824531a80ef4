package labcmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/truth"
)

// apiVersion and kind begin every JSON document.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func newHeader(kind string) header { return header{APIVersion: "vipctl.dev/v1alpha1", Kind: kind} }

// writeDocument writes the value as JSON or YAML, with the same names.
func writeDocument(w io.Writer, format string, v any) error {
	if format == formatYAML {
		b, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func newStatus(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a lab's nodes, their power, who holds the VIP, and faults",
		Example: `  vipctl lab status
  vipctl lab status -o json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		return s.printStatus(cmd.Context(), s.lab(), *format)
	}
	return cmd
}

func (s *session) printStatus(ctx context.Context, l *lab.Lab, format string) error {
	st, err := l.Status(ctx)
	if err != nil {
		return err
	}
	if format == formatTable {
		return writeStatus(s.streams.Out, st)
	}
	return writeDocument(s.streams.Out, format, struct {
		header
		lab.Status
	}{newHeader("LabStatus"), st})
}

func writeStatus(w io.Writer, st lab.Status) error {
	health := "etcd checked at once (--talos-timing: after 5 s)"
	if st.TalosTiming {
		health = "etcd checked first after 5 s, as by Talos"
	}
	fmt.Fprintf(w, "Lab %s: Talos %s, configuration style %s\n", st.Name, st.TalosVersion, st.ConfigStyle)
	fmt.Fprintf(w, "Times: lease %gs, boot %gs, %s\n", st.LeaseTTLSeconds, st.BootTimeSeconds, health)
	fmt.Fprintf(w, "Networks: %s\n", segments(st.Segments))
	for _, v := range st.VIPs {
		fmt.Fprintf(w, "VIP %s: held by %s\n", v.Address, cmp.Or(strings.Join(v.Holders, ", "), "nobody"))
		if v.Note != "" {
			fmt.Fprintf(w, "  %s\n", v.Note)
		}
	}
	if len(st.Faults) > 0 {
		fmt.Fprintf(w, "Faults of the network: %s\n", strings.Join(st.Faults, ", "))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tROLE\tADDRESS\tBMC\tPOWER\tPID\tVIP\tFAULTS")
	for _, n := range st.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, n.Role, addresses(n), n.BMC, n.Power,
			pid(n.PID), dash(n.VIPs), dash(n.Faults))
	}
	return t.Flush()
}

// segments is as "main 10.5.0.0/24, vlan-100 10.6.0.0/24".
func segments(all []lab.SegmentStatus) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, s.Name+" "+strings.Join(s.Subnets, " "))
	}
	return strings.Join(parts, ", ")
}

// addresses is the node's own address and what else it has, as
// "10.5.0.2 eth0.100:10.6.0.2".
func addresses(n lab.NodeStatus) string {
	parts := []string{n.Address}
	for i, l := range n.Links {
		for _, a := range l.Addresses {
			addr, _, _ := strings.Cut(a, "/")
			switch {
			case addr == n.Address:
			case i == 0:
				parts = append(parts, addr)
			default:
				parts = append(parts, l.Name+":"+addr)
			}
		}
	}
	return strings.Join(parts, " ")
}

func dash(list []string) string { return cmp.Or(strings.Join(list, ", "), "-") }

func pid(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func newList(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the labs that you have running",
		Example: `  vipctl lab list
  vipctl lab list -o name`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlagOf(cmd, formatTable, formatName, formatJSON, formatYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format, formatName); err != nil {
			return err
		}
		names, err := lab.List()
		slices.Sort(names)
		if err != nil {
			return err
		}
		switch {
		case *format == formatName:
			for _, n := range names {
				fmt.Fprintln(s.streams.Out, n)
			}
			return nil
		case *format == formatTable && len(names) == 0:
			s.streams.Errorf("no lab is running; `vipctl lab up` starts one")
			return nil
		case *format == formatTable:
			return writeLabs(s.streams.Out, describe(cmd.Context(), names))
		}
		return writeDocument(s.streams.Out, *format, struct {
			header
			Labs []listed `json:"labs"`
		}{newHeader("LabList"), describe(cmd.Context(), names)})
	}
	return cmd
}

func writeLabs(w io.Writer, labs []listed) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LAB\tREADY\tNODES\tVIP")
	for _, l := range labs {
		ready := "no"
		if l.Ready {
			ready = "yes"
		}
		var vips []string
		for _, v := range l.VIPs {
			vips = append(vips, v.Address+" on "+cmp.Or(strings.Join(v.Holders, "+"), "none"))
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", l.Name, ready, len(l.Nodes), dash(vips))
	}
	return t.Flush()
}

// formatName is the format of a list with one name a line.
const formatName = "name"

// listed is a lab in a list.
type listed struct {
	Name  string          `json:"name"`
	Ready bool            `json:"ready"`
	Nodes []string        `json:"nodes"`
	VIPs  []lab.VIPStatus `json:"vips"`
}

// answerTime is how long a lab in a list may take to say what it is.
const answerTime = 5 * time.Second

// describe asks each lab. One that does not answer, for it is just coming up or
// going down, is described by its name alone.
func describe(ctx context.Context, names []string) []listed {
	labs := []listed{}
	for _, name := range names {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		st, _ := (&lab.Lab{Name: name}).Status(ctx)
		cancel()
		l := listed{Name: name, Ready: st.Ready, Nodes: []string{}, VIPs: append([]lab.VIPStatus{}, st.VIPs...)}
		for _, n := range st.Nodes {
			l.Nodes = append(l.Nodes, n.Name)
		}
		labs = append(labs, l)
	}
	return labs
}

func newLogs(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "logs NODE",
		Short:             "Print what a node's processes wrote",
		Example:           "  vipctl lab logs cp-1",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: s.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return usage(s.lab().Logs(cmd.Context(), args[0], s.streams.Out))
		},
	}
}

func newEvents(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print the log of true instants",
		Long: `Prints what truly happened in the lab and when: links cut, addresses added,
processes killed, leases kept alive and expired. Times are readings of
CLOCK_MONOTONIC, and events come in their order, numbered, 100 ms after they
happened. A process that takes longer than that to tell has its event marked as
late. With -o json each event is one JSON value on a line, with -o yaml one
document.`,
		Example: `  vipctl lab events
  vipctl lab events -o json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(cmd)
	follow := cmd.Flags().BoolP("follow", "f", false, "go on printing events as they come")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
		defer stop()
		err := s.lab().Events(ctx, *follow, s.printEvent(*format))
		if *follow && ctx.Err() != nil {
			return cli.Exit(cli.ExitInterrupted)
		}
		return err
	}
	return cmd
}

// printEvent returns what prints one event.
func (s *session) printEvent(format string) func(truth.Event) error {
	switch format {
	case formatJSON:
		enc := json.NewEncoder(s.streams.Out)
		return func(e truth.Event) error { return enc.Encode(e) }
	case formatYAML:
		return func(e truth.Event) error {
			fmt.Fprintln(s.streams.Out, "---")
			return writeDocument(s.streams.Out, format, e)
		}
	}
	return func(e truth.Event) error {
		seconds := float64(e.At) / float64(time.Second)
		detail := e.Detail
		if e.Late {
			detail += " (late)"
		}
		line := fmt.Sprintf("%14.6f  %-12s  %-16s  %s", seconds, cmp.Or(e.Node, "-"), e.Kind, detail)
		_, err := fmt.Fprintln(s.streams.Out, strings.TrimRight(line, " "))
		return err
	}
}

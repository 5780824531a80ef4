package labcmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

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

func writeJSON(w io.Writer, v any) error {
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
		Args: arguments(cobra.NoArgs),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		st, err := s.lab().Status(cmd.Context())
		if err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(s.streams.Out, struct {
				header
				lab.Status
			}{newHeader("LabStatus"), st})
		}
		return writeStatus(s.streams.Out, st)
	}
	return cmd
}

func writeStatus(w io.Writer, st lab.Status) error {
	health := "etcd's health checked at once (Talos: first after 5 s; see --talos-timing)"
	if st.TalosTiming {
		health = "etcd's health checked as Talos does"
	}
	fmt.Fprintf(w, "Lab %s: Talos %s, lease %gs, boot %gs, %s\n", st.Name, st.TalosVersion, st.LeaseTTLSeconds, st.BootTimeSeconds, health)
	fmt.Fprintf(w, "Networks: %s; configuration style: %s\n", segments(st.Segments), st.ConfigStyle)
	for _, v := range st.VIPs {
		fmt.Fprintf(w, "VIP %s: held by %s\n", v.Address, cmp.Or(strings.Join(v.Holders, ", "), "nobody"))
		if v.Note != "" {
			fmt.Fprintf(w, "  %s\n", v.Note)
		}
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
	return fmt.Sprint(n)
}

func newList(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the labs that you have running",
		Example: "  vipctl lab list",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			names, err := lab.List()
			if err != nil {
				return err
			}
			for _, n := range names {
				fmt.Fprintln(s.streams.Out, n)
			}
			return nil
		},
	}
}

func newLogs(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "logs NODE",
		Short:             "Print what a node's processes wrote",
		Example:           "  vipctl lab logs cp-1",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: s.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.lab().Logs(cmd.Context(), args[0], s.streams.Out)
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
late. With -o json each event is one JSON value on a line.`,
		Example: `  vipctl lab events
  vipctl lab events -o json`,
		Args: arguments(cobra.NoArgs),
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
	if format == "json" {
		enc := json.NewEncoder(s.streams.Out)
		return func(e truth.Event) error { return enc.Encode(e) }
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

// completeNodes completes the name of a node of the running lab.
func (s *session) completeNodes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, err := s.lab().Status(cmd.Context())
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range st.Nodes {
		names = append(names, n.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

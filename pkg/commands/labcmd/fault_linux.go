package labcmd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/pkg/lab"
)

func newFault(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Do faults to a lab's nodes, and undo them",
		Example: `  vipctl lab fault list
  vipctl lab fault inject power-off cp-2
  vipctl lab fault undo power-off cp-2`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newInject(s), newUndo(s), newFaultList(s))
	return cmd
}

func newInject(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inject NAME NODE",
		Short: "Do a fault to a node",
		Long: `Does a fault to a node. NODE may be "owner": the node that holds the VIP.
"vipctl lab fault list" shows the faults.`,
		Example: `  vipctl lab fault inject freeze owner
  vipctl lab fault inject partition cp-1 --from cp-2,cp-3
  vipctl lab fault inject clock-skew cp-2 --offset -90s`,
		Args:              arguments(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: s.completeFault,
	}
	given := faultFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req := faultRequest(args)
		req.Args = given()
		return s.lab().Inject(cmd.Context(), req)
	}
	return cmd
}

// faultFlags gives the command every argument that a fault takes, and returns
// how to read those that were given.
func faultFlags(cmd *cobra.Command) (given func() map[string]string) {
	means, takers := map[string]string{}, map[string][]string{}
	for _, f := range lab.Faults() {
		for name, what := range f.Flags {
			means[name], takers[name] = what, append(takers[name], f.Name)
		}
	}
	for name, what := range means {
		cmd.Flags().String(name, "", strings.Join(takers[name], ", ")+": "+what)
	}
	return func() map[string]string {
		args := map[string]string{}
		for name := range means {
			if cmd.Flags().Changed(name) {
				args[name] = cmd.Flag(name).Value.String()
			}
		}
		return args
	}
}

func newUndo(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "undo NAME [NODE]",
		Short:             "Undo a fault",
		Long:              `Undoes a fault. NODE may be left out where the fault is on one node only.`,
		Example:           "  vipctl lab fault undo freeze",
		Args:              arguments(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: s.completeFault,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.lab().Undo(cmd.Context(), faultRequest(args))
		},
	}
}

func faultRequest(args []string) lab.FaultRequest {
	req := lab.FaultRequest{Fault: args[0]}
	if len(args) > 1 {
		req.Node = args[1]
	}
	return req
}

func newFaultList(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the faults there are, and where they are active",
		Example: `  vipctl lab fault list
  vipctl lab fault list -o json`,
		Args: arguments(cobra.NoArgs),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		// The faults that there are can be listed without a lab.
		active, err := s.activeFaults(cmd)
		if err != nil {
			return err
		}
		if *format == "json" {
			return writeJSON(s.streams.Out, struct {
				header
				Faults []lab.Fault       `json:"faults"`
				Active []lab.ActiveFault `json:"active"`
			}{newHeader("LabFaults"), lab.Faults(), active})
		}
		return writeFaults(s.streams.Out, active)
	}
	return cmd
}

// activeFaults asks the lab where it runs.
func (s *session) activeFaults(cmd *cobra.Command) ([]lab.ActiveFault, error) {
	names, err := lab.List()
	if err != nil || !slices.Contains(names, *s.name) {
		return []lab.ActiveFault{}, err
	}
	active, err := s.lab().Faults(cmd.Context())
	return append([]lab.ActiveFault{}, active...), err
}

func writeFaults(w io.Writer, active []lab.ActiveFault) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FAULT\tACTIVE ON\tWHAT IT DOES")
	for _, f := range lab.Faults() {
		var on []string
		for _, a := range active {
			if a.Fault == f.Name {
				on = append(on, a.Node)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Name, dash(on), f.What)
	}
	return t.Flush()
}

// completeFault completes the fault, then the node.
func (s *session) completeFault(cmd *cobra.Command, args []string, partial string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return s.completeNodes(cmd, args[1:], partial)
	}
	var names []string
	for _, f := range lab.Faults() {
		names = append(names, f.Name+"\t"+f.What)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

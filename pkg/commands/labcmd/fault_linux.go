package labcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/lab"
)

func newFault(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Do faults to a lab's nodes and network, and undo them",
		Example: `  vipctl lab fault list
  vipctl lab fault inject power-off cp-2
  vipctl lab fault undo power-off cp-2`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newInject(s), newUndo(s), newFaultList(s))
	return cmd
}

func newInject(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inject NAME [NODE]",
		Short: "Do a fault to a node or to the network",
		Long: `Does a fault. NODE may be "owner": the node that holds the VIP. A fault of the
network takes no NODE. "vipctl lab fault list" shows the faults and their flags.`,
		Example: `  vipctl lab fault inject freeze owner
  vipctl lab fault inject partition cp-1 --from cp-2,cp-3 --direction in
  vipctl lab fault inject delay cp-2 --delay 20ms --jitter 5ms
  vipctl lab fault inject clock-skew cp-2 --offset -90s
  vipctl lab fault inject foreign-host`,
		Args:              arguments(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: s.completeInject,
	}
	names := addFaultFlags(cmd.Flags())
	s.completeFaultFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req := faultRequest(args)
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if slices.Contains(names, f.Name) {
				req.Args[f.Name] = f.Value.String()
			}
		})
		if err := lab.CheckFault(req); err != nil {
			return usage(err)
		}
		if err := s.lab().Inject(cmd.Context(), req); err != nil {
			return usage(err)
		}
		return s.tellOwner(cmd.Context(), req)
	}
	return cmd
}

// tellOwner says which node it was that the word owner stood for.
func (s *session) tellOwner(ctx context.Context, req lab.FaultRequest) error {
	if req.Node != lab.Owner {
		return nil
	}
	active, err := s.lab().Faults(ctx)
	for _, a := range slices.Backward(active) {
		if a.Fault == req.Fault && a.AsOwner {
			s.streams.Errorf("%s is injected on %s", a.Fault, a.Node)
			break
		}
	}
	return err
}

// addFaultFlags adds the flags of all faults and returns their names. One that
// several faults have says what it means for each.
func addFaultFlags(flags *pflag.FlagSet) []string {
	meanings := make(map[string][]string)
	for _, f := range lab.Faults() {
		for name, what := range f.Flags {
			if !slices.Contains(meanings[name], what) {
				meanings[name] = append(meanings[name], what)
			}
		}
	}
	names := slices.Sorted(maps.Keys(meanings))
	for _, name := range names {
		var parts []string
		for _, what := range meanings[name] {
			parts = append(parts, strings.Join(faultsWith(name, what), ", ")+": "+what)
		}
		flags.String(name, "", strings.Join(parts, "; "))
		if lab.IsSwitch(name) {
			flags.Lookup(name).NoOptDefVal = "true"
		}
	}
	return names
}

// faultsWith returns the faults for which the flag means that.
func faultsWith(flag, what string) (names []string) {
	for _, f := range lab.Faults() {
		if f.Flags[flag] == what {
			names = append(names, f.Name)
		}
	}
	return names
}

// usage makes a usage error of the command's of one that the lab calls so.
func usage(err error) error {
	if _, ok := errors.AsType[*lab.UsageError](err); ok {
		return &cli.UsageError{Err: err}
	}
	return err
}

func newUndo(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undo {NAME [NODE] | --all}",
		Short: "Undo a fault, or all of them",
		Long: `Undoes a fault. NODE may be left out where the fault is on one node only; it may
be "owner" for the node that is the owner, or was it when the fault was injected.`,
		Example: `  vipctl lab fault undo freeze
  vipctl lab fault undo partition owner
  vipctl lab fault undo --all`,
		ValidArgsFunction: s.completeUndo,
	}
	all := cmd.Flags().Bool("all", false, "undo every fault, the youngest first")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *all {
			if len(args) == 0 {
				return nil
			}
			return cli.WithHint(cli.Usagef("--all undoes every fault, and %s is named, too", args[0]), "usage: %s", cmd.UseLine())
		}
		return arguments(cobra.RangeArgs(1, 2))(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return usage(s.undo(cmd.Context(), *all, args))
	}
	return cmd
}

func (s *session) undo(ctx context.Context, all bool, args []string) error {
	if all {
		return s.lab().Undo(ctx, lab.FaultRequest{All: true})
	}
	req := faultRequest(args)
	if err := lab.CheckUndo(req); err != nil {
		return err
	}
	return s.lab().Undo(ctx, req)
}

func faultRequest(args []string) lab.FaultRequest {
	req := lab.FaultRequest{Fault: args[0], Args: make(map[string]string)}
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
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
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
		if *format == formatTable {
			return writeFaults(s.streams.Out, active)
		}
		return writeDocument(s.streams.Out, *format, struct {
			header
			Faults []lab.Fault       `json:"faults"`
			Active []lab.ActiveFault `json:"active"`
		}{newHeader("LabFaults"), lab.Faults(), active})
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
	fmt.Fprintln(t, "FAULT\tWHAT IT DOES")
	for _, f := range lab.Faults() {
		name := f.Name
		for _, line := range append(wrap(f.What, whatWidth), wrap(flagsOf(f), whatWidth)...) {
			fmt.Fprintf(t, "%s\t%s\n", name, line)
			name = ""
		}
	}
	fmt.Fprintln(t) // ends the columns, too
	if len(active) == 0 {
		fmt.Fprintln(t, "None is active.")
		return t.Flush()
	}
	fmt.Fprintln(t, "ACTIVE\tON")
	for _, f := range lab.Faults() {
		for _, place := range places(f, active) {
			fmt.Fprintf(t, "%s\t%s\n", f.Name, place)
		}
	}
	return t.Flush()
}

// whatWidth leaves the longest name its place in a line of 80.
const whatWidth = 58

// flagsOf is the flags of a fault, as "--delay, --jitter".
func flagsOf(f lab.Fault) string {
	var flags []string
	for _, name := range slices.Sorted(maps.Keys(f.Flags)) {
		flags = append(flags, "--"+name)
	}
	return strings.Join(flags, ", ")
}

// wrap breaks text into lines of up to width characters; a longer word is one.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}

// places are where a fault is active, with its arguments.
func places(f lab.Fault, active []lab.ActiveFault) (on []string) {
	for _, a := range active {
		if a.Fault != f.Name {
			continue
		}
		where := a.Node
		switch {
		case where != "":
		case f.Target == lab.TargetNodeAll:
			where = "every node"
		default:
			where = "the network"
		}
		on = append(on, where+strings.TrimPrefix(a.String(), a.Fault))
	}
	return on
}

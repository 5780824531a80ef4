package labcmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipctl/vipctl/pkg/lab"
	"github.com/vipctl/vipctl/pkg/lab/node"
)

// completionTime is how long a lab may take to answer a completion; then there
// is none.
const completionTime = time.Second

// status asks the lab for a completion, and returns nothing where it is silent.
func (s *session) status(cmd *cobra.Command) lab.Status {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	st, _ := s.lab().Status(ctx)
	return st
}

// completeNames completes the name of a running lab.
func completeNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	names, err := lab.List()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeNodes completes the name of a node of the running lab.
func (s *session) completeNodes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.nodes(cmd), cobra.ShellCompDirectiveNoFileComp
}

func (s *session) nodes(cmd *cobra.Command) (names []string) {
	for _, n := range s.status(cmd).Nodes {
		names = append(names, n.Name)
	}
	return names
}

func (s *session) nodesOrOwner(cmd *cobra.Command) []string {
	names := s.nodes(cmd)
	if len(names) == 0 {
		return nil
	}
	return append(names, lab.Owner+"\tthe node that holds the VIP")
}

// completeInject completes the fault, then the node where it takes one.
func (s *session) completeInject(cmd *cobra.Command, args []string, _ string) (offers []string, _ cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		for _, f := range lab.Faults() {
			offers = append(offers, f.Name+"\t"+f.What)
		}
	case 1:
		if f, ok := faultNamed(args[0]); ok && f.Target != lab.TargetNone {
			offers = s.nodesOrOwner(cmd)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completeUndo completes a fault that is active, then a node that it is on.
func (s *session) completeUndo(cmd *cobra.Command, args []string, _ string) (offers []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	active, _ := s.lab().Faults(ctx) // none where it is silent
	for _, a := range active {
		switch {
		case len(args) == 0 && !slices.ContainsFunc(offers, func(o string) bool { return strings.HasPrefix(o, a.Fault+"\t") }):
			f, _ := faultNamed(a.Fault)
			offers = append(offers, a.Fault+"\t"+strings.Join(places(f, active), ", "))
		case len(args) == 1 && args[0] == a.Fault && a.Node != "":
			offers = append(offers, a.Node)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

func faultNamed(name string) (lab.Fault, bool) {
	all := lab.Faults()
	i := slices.IndexFunc(all, func(f lab.Fault) bool { return f.Name == name })
	if i < 0 {
		return lab.Fault{}, false
	}
	return all[i], true
}

// completeFlags tells the shells what the flags of a command may hold. One that
// is in neither list holds something that can't be listed.
func completeFlags(cmd *cobra.Command, values map[string]cobra.CompletionFunc) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		complete := values[f.Name]
		switch {
		case complete != nil:
		case f.Value.Type() == "bool" || lab.IsSwitch(f.Name):
			complete = cobra.FixedCompletions([]string{"true", "false"}, cobra.ShellCompDirectiveNoFileComp)
		default:
			complete = cobra.NoFileCompletions
		}
		if _, done := cmd.GetFlagCompletionFunc(f.Name); !done {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only for a flag that there isn't
		}
	})
}

// listOf completes the last of several values that are separated by commas,
// each of them once.
func listOf(values func(*cobra.Command) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) (offers []string, _ cobra.ShellCompDirective) {
		given := typed[:strings.LastIndexByte(typed, ',')+1]
		for _, v := range values(cmd) {
			if !slices.Contains(strings.Split(given, ","), v) {
				offers = append(offers, given+v)
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

func one(values func(*cobra.Command) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return values(cmd), cobra.ShellCompDirectiveNoFileComp
	}
}

func fixed(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// completeFaultFlags completes the flags of `lab fault inject`.
func (s *session) completeFaultFlags(cmd *cobra.Command) {
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"direction": fixed("both", "in", "out"),
		"after":     fixed("accept", "handshake"),
		"as":        one(s.nodes),
		"vip": one(func(cmd *cobra.Command) (vips []string) {
			for _, v := range s.status(cmd).VIPs {
				vips = append(vips, v.Address)
			}
			return vips
		}),
		lab.FlagFrom: listOf(func(cmd *cobra.Command) []string { return append(s.nodes(cmd), "workstation") }),
	})
}

// completeSpecFlags completes the flags of a command that starts a lab.
func completeSpecFlags(cmd *cobra.Command, f *specFlags) {
	nodes := func(*cobra.Command) (names []string) {
		for i := range f.spec.ControlPlanes {
			names = append(names, fmt.Sprintf("cp-%d", i+1))
		}
		for i := range f.spec.Workers {
			names = append(names, fmt.Sprintf("worker-%d", i+1))
		}
		return names
	}
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"config-style":   fixed(node.StyleLegacy, node.StyleDocuments),
		"control-planes": fixed("1", "2", "3", "4", "5"),
		"workers":        fixed("0", "1", "2", "3", "4", "5"),
		"subnets":        fixed("1", "2"),
		"vip-nodes":      listOf(nodes),
		"talos-version": fixed(
			lab.DefaultTalosVersion+"\tas by default",
			"v1.13.7\tbefore v1.13.8: a leaving owner may leave its lease behind",
			"v1.12.0\tthe first with documents, and with reboot --mode force",
			"v1.11.6\tthe last without documents",
			"v1.11.2\tbefore v1.11.3: the VIP has a broadcast address",
			"v1.8.0\tthe oldest"),
		"kube-apiserver": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault // a file
		},
	})
}

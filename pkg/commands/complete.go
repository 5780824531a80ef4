package commands

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/pkg/checks"
	"github.com/vipctl/vipctl/pkg/report"
	"github.com/vipctl/vipctl/pkg/talos"
)

// completionLimit is how long a completion may ask a cluster; then it offers
// nothing.
const completionLimit = time.Second

// completeClusterFlags tells the shells what the flags of onCluster may hold.
func (f *Factory) completeClusterFlags(cmd *cobra.Command) {
	for flag, complete := range map[string]cobra.CompletionFunc{
		"context":   f.completeContexts,
		"nodes":     f.completeNodes,
		"endpoints": f.completeNodes,
		"vip":       f.completeVIPs,
		"cluster":   cobra.NoFileCompletions,
		"timeout":   cobra.NoFileCompletions,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // fails for an unknown flag only; a test asks for each
	}
}

func (f *Factory) completeContexts(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, err := talos.Contexts(f.flags.Talosconfig)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	given := listedBefore(typed)
	named := strings.Split(given, ",")
	var offers []cobra.Completion
	for _, name := range names {
		if !slices.Contains(named, name) {
			offers = append(offers, given+name)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

func (f *Factory) completeNodes(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.ask(cmd, typed, func(doc *report.Ownership) (offers []string) {
		for _, n := range doc.Nodes {
			offers = append(offers, n.Address+"\t"+n.Node)
		}
		return offers
	})
}

// completeNodeNames offers what etcd --without takes, without what was given.
func (f *Factory) completeNodeNames(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.ask(cmd, typed, func(doc *report.Ownership) (offers []string) {
		given := strings.Split(listedBefore(typed), ",")
		for _, n := range doc.Nodes {
			if !slices.Contains(given, n.Node) {
				offers = append(offers, n.Node+"\t"+n.Address)
			}
		}
		return offers
	})
}

func (f *Factory) completeVIPs(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.ask(cmd, typed, func(doc *report.Ownership) (offers []string) {
		for _, v := range doc.VIPs {
			offers = append(offers, v.VIP)
		}
		return offers
	})
}

// ask asks the cluster for completions of the last of a list of words.
func (f *Factory) ask(cmd *cobra.Command, typed string, offers func(*report.Ownership) []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
	defer cancel()
	f.flags.Timeout = min(f.flags.Timeout, completionLimit)
	o, err := f.observer(talosOnly)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer o.close()
	snap, err := o.look(ctx, talos.Addresses)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	given := listedBefore(typed)
	list := offers(report.NewOwnership(snap, judgeAll(snap)...))
	for i := range list {
		list[i] = given + list[i]
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

func completeChecks(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	given := listedBefore(typed)
	var offers []cobra.Completion
	for _, c := range checks.All() {
		offers = append(offers, given+c.ID+"\t"+c.Title)
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

func completeCategories(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	given := listedBefore(typed)
	var offers []cobra.Completion
	for _, c := range checks.All() {
		if offer := given + string(c.Category); !slices.Contains(offers, offer) {
			offers = append(offers, offer)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// listedBefore is what stands before the last word of a list: "a,b," of "a,b,c".
func listedBefore(typed string) string { return typed[:strings.LastIndexByte(typed, ',')+1] }

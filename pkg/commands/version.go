package commands

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/pkg/report"
)

// Set by the release build through -ldflags -X.
var (
	version = ""
	commit  = ""
	date    = ""
)

func newVersionCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print vipctl's own version",
		Example: "  vipctl version\n  vipctl version -o json",
		GroupID: groupOther,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			format, err := f.format()
			if err != nil {
				return err
			}
			v := buildVersion()
			if format == report.Table || format == report.Wide {
				_, err := fmt.Fprintf(f.Streams.Out, "vipctl %s (%s, %s)\n", v.Version, v.Go, v.Platform)
				return err
			}
			return report.Write(f.Streams.Out, format, v)
		},
	}
}

// buildVersion prefers what the release build set, then what the Go toolchain
// recorded of the module and the commit.
func buildVersion() *report.VersionReport {
	v := report.NewVersion(version, commit, date, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	info, ok := debug.ReadBuildInfo()
	if ok && v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}

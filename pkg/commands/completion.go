package commands

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
)

// shells maps each shell to the writer of its completion script.
var shells = map[string]func(*cobra.Command, io.Writer) error{
	"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	"zsh":        func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
}

var shellNames = []string{"bash", "zsh", "fish", "powershell"}

func newCompletionCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "completion {bash|zsh|fish|powershell}",
		Short: "Print the completion script of a shell",
		Example: `  source <(vipctl completion bash)
  vipctl completion zsh > "${fpath[1]}/_vipctl"
  vipctl completion fish > ~/.config/fish/completions/vipctl.fish`,
		GroupID:   groupOther,
		ValidArgs: shellNames,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && shells[args[0]] != nil {
				return nil
			}
			return cli.WithHint(cli.Usagef("completion needs the name of one shell"),
				"one of bash, zsh, fish, powershell")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return shells[args[0]](cmd.Root(), f.Streams.Out)
		},
	}
}

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// completers write the completion script of a shell.
var completers = map[string]func(root *cobra.Command, w io.Writer) error{
	"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	"zsh":        (*cobra.Command).GenZshCompletion,
}

// newCompletionCmd makes "dfetch completion".
func newCompletionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|fish|powershell|zsh",
		Short: "Print the completion script of a shell",
		Long: `Print the completion script of a shell. For bash:

  dfetch completion bash > ~/.local/share/bash-completion/completions/dfetch`,
		ValidArgs: []string{"bash", "fish", "powershell", "zsh"},
		Args:      wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			complete, ok := completers[args[0]]
			if !ok {
				return usagef("no completion for shell %q: want bash, fish, powershell or zsh", args[0])
			}
			if err := complete(cmd.Root(), cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("completion script: %w", err)
			}
			return nil
		},
	}
}

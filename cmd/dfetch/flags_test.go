package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Help names every value, and no text of a flag holds back quotes, which shells would show as they are.
func TestHelpNamesValues(t *testing.T) {
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(f)
			if name != strings.ToUpper(name) || usage != f.Usage {
				t.Errorf("%s --%s: value %q, usage %q", cmd.CommandPath(), f.Name, name, f.Usage)
			}
		})
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(newRootCmd())
}

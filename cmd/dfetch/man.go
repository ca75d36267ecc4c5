package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// newManCmd makes the hidden "dfetch man", which "make install" uses.
func newManCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a directory",
		Hidden: true,
		Args:   wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			if err := writeManual(cmd.Root(), args[0]); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			return nil
		},
	}
}

// writeManual writes a page of section 1 for cmd and each command below it that help names.
func writeManual(cmd *cobra.Command, dir string) error {
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManual(sub, dir); err != nil {
			return err
		}
	}
	page, err := manualPage(cmd)
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	return os.WriteFile(filepath.Join(dir, name), page, 0o644)
}

const optionsHeading = ".SH OPTIONS\n"

// manualPage is what cobra makes of a command, with its options as help shows them. Its date is
// SOURCE_DATE_EPOCH if that is set.
func manualPage(cmd *cobra.Command) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	var page bytes.Buffer
	header := &doc.GenManHeader{Section: "1", Source: "dfetch", Manual: "dfetch manual"}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return nil, err
	}
	before, rest, found := strings.Cut(page.String(), optionsHeading)
	if !found {
		return page.Bytes(), nil
	}
	_, after, more := strings.Cut(rest, "\n.SH ")
	if more {
		after = "\n.SH " + after
	}
	return []byte(before + optionsHeading + manualOptions(cmd.NonInheritedFlags()) + after), nil
}

// manualOptions lists flags in roff.
func manualOptions(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(&b, `\fB\-%s\fP, `, f.Shorthand)
		}
		fmt.Fprintf(&b, `\fB\-\-%s\fP`, roff(f.Name))
		if value != "" {
			fmt.Fprintf(&b, ` \fI%s\fP`, roff(value))
		}
		switch f.DefValue {
		case "", "0", "false", "[]":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, "\n\\&%s\n", roff(usage))
	})
	return b.String()
}

// roff writes text so that it means itself.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
}

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
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
		if !hasManual(sub) {
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
	return os.WriteFile(filepath.Join(dir, manualName(cmd)+".1"), page, 0o644)
}

func hasManual(cmd *cobra.Command) bool {
	return cmd.IsAvailableCommand() && !cmd.IsAdditionalHelpTopicCommand()
}

// manualPage is the page of a command, in roff. Its date is SOURCE_DATE_EPOCH if that is set.
func manualPage(cmd *cobra.Command) ([]byte, error) {
	date, err := manualDate()
	if err != nil {
		return nil, err
	}
	cmd.InitDefaultHelpFlag()
	name := manualName(cmd)
	var b bytes.Buffer
	fmt.Fprintf(&b, ".nh\n.TH %q \"1\" %q \"dfetch\" \"dfetch manual\"\n", strings.ToUpper(name), date.Format("Jan 2006"))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n\\fB%s\\fP\n", roff(cmd.UseLine()))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s", manualText(cmp.Or(cmd.Long, cmd.Short)))
	fmt.Fprintf(&b, ".SH OPTIONS\n%s", manualOptions(cmd.NonInheritedFlags()))
	if also := manualSeeAlso(cmd); len(also) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(also, ", "))
	}
	return b.Bytes(), nil
}

func manualName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manualDate is the date of the pages.
func manualDate() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// manualText sets a help text: an empty line begins a paragraph, and indented lines stay as they are.
func manualText(text string) string {
	var b strings.Builder
	asIs := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimSuffix(line, "\n")
		if indented := strings.HasPrefix(line, " "); indented != asIs {
			asIs = indented
			b.WriteString(fill(!asIs))
		}
		if line == "" {
			b.WriteString(".PP\n")
			continue
		}
		b.WriteString(`\&` + roff(line) + "\n")
	}
	if asIs {
		b.WriteString(fill(true))
	}
	return b.String()
}

// fill is the request that begins lines to be filled, or ends them.
func fill(on bool) string {
	if on {
		return ".fi\n"
	}
	return ".nf\n"
}

// manualSeeAlso names the pages of the command above and of those below.
func manualSeeAlso(cmd *cobra.Command) (pages []string) {
	page := func(c *cobra.Command) { pages = append(pages, `\fB`+roff(manualName(c))+`\fP(1)`) }
	if cmd.HasParent() {
		page(cmd.Parent())
	}
	for _, sub := range cmd.Commands() {
		if hasManual(sub) {
			page(sub)
		}
	}
	return pages
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

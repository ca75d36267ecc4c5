package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dfetch/fetch"
	"dfetch/recipe"
)

// dryRun prints what get would do.
func dryRun(cmd *cobra.Command, f *getFlags, cfg fetch.Config) error {
	plan, err := fetch.DryRun(cmd.Context(), cfg)
	if plan == nil {
		return err
	}
	return errors.Join(err, showPlan(cmd, f, cfg, plan))
}

// showPlan tells a plan in the ways that the flags ask for.
func showPlan(cmd *cobra.Command, f *getFlags, cfg fetch.Config, plan *fetch.Plan) error {
	w := cmd.OutOrStdout()
	if f.report != "" {
		f.reported = true
		if err := writeReport(plan, f.report); err != nil {
			return err
		}
	}
	switch {
	case f.json:
		return json.NewEncoder(w).Encode(plan)
	case f.quiet:
		return nil
	case f.checksum:
		say(cmd.ErrOrStderr(), "-n goes by size and time; a run with --checksum reads the files")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nlands at %s\n", recipe.Address{Hash: recipe.BLAKE3, ID: cfg.Recipe}, printable(plan.Dest))
	planSources(&b, plan)
	fmt.Fprintf(&b, "space needed: %s\n", formatSize(plan.MissingData))
	planDeletes(&b, plan)
	explainFiles(&b, plan.Explained, plan.Unexplained)
	_, err := io.WriteString(w, b.String())
	return err
}

// planSources says what each source is expected to bring.
func planSources(w io.Writer, p *fetch.Plan) {
	fmt.Fprintf(w, "  dest    %10s  %8s  %d files are right already\n", formatSize(int64(p.Sources["dest"].Bytes)), "", p.Files-p.MissingFiles)
	if d := p.Sources["disk"]; p.Search != nil {
		fmt.Fprintf(w, "  disk    %10s  %8s  %s\n", formatSize(int64(d.Bytes)), inSeconds(d.Seconds), searchText(p))
	}
	if s, ok := p.Sources["sender"]; ok {
		text := fmt.Sprintf("of %d missing files, %d chunks", p.MissingFiles, p.MissingChunks)
		if p.Rate > 0 {
			text += fmt.Sprintf(", at %s/s", formatSize(int64(p.Rate)))
		}
		fmt.Fprintf(w, "  sender  %10s  %8s  %s\n", formatSize(int64(s.Bytes)), inSeconds(s.Seconds), text)
	}
	if p.Search != nil {
		for _, root := range slices.Compact(slices.Clone(p.Search.Roots)) { // a file's own directory stands there twice
			fmt.Fprintf(w, "searched: %s\n", printable(root))
		}
	}
}

// inSeconds is a time that is expected; nothing where it is not known.
func inSeconds(s float64) string {
	if s <= 0 {
		return ""
	}
	return time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond).String()
}

func searchText(p *fetch.Plan) string {
	s := p.Search
	looked := fmt.Sprintf("%d directories listed, %d pieces of files hashed", s.Ops.Stat, s.Ops.Hash)
	switch {
	case s.Refused:
		return looked + "; the network is faster"
	case !s.Ended && p.Sources["sender"].Bytes > 0:
		return looked + " so far; a run would search on"
	}
	return looked
}

func planDeletes(w io.Writer, p *fetch.Plan) {
	for _, path := range p.Deletes {
		fmt.Fprintf(w, "delete: %s\n", printable(path))
	}
	if n := p.DeleteCount - uint64(len(p.Deletes)); n > 0 {
		fmt.Fprintf(w, "and %d deletes more\n", n)
	}
}

// explainFiles says where the bytes of files came from.
func explainFiles(w io.Writer, files []fetch.Explanation, more uint64) {
	for _, x := range files {
		fmt.Fprintf(w, "%s: %s\n", printable(x.Path), formatSize(int64(x.Bytes)))
		for _, o := range x.From {
			where := ""
			if o.Where != "" {
				where = printable(o.Where) + ": "
			}
			fmt.Fprintf(w, "  %-7s %10s  %s%s\n", o.Source, formatSize(int64(o.Bytes)), where, printable(o.How))
		}
		if x.Why != "" {
			fmt.Fprintf(w, "  %s\n", x.Why)
		}
	}
	if more > 0 {
		fmt.Fprintf(w, "and %d files more\n", more)
	}
}

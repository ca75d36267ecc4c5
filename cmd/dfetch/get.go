package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"dfetch/costmodel"
	"dfetch/fetch"
	"dfetch/tree"
)

// getFlags are the flags of dfetch get.
type getFlags struct {
	from      []string
	dryRun    bool
	checksum  bool
	fsync     string
	delete    bool
	maxDelete int
	maxSize   sizeFlag
	bwlimit   rateFlag
	tokenFile string
	trace     string
	filesFrom string
	search    fetch.SearchConfig
	indexMax  sizeFlag
	order     string
	explain   []string
	trust     []string
	rules     []fetch.Rule
	report    string
	json      bool
	reported  bool // the report has been written
	quiet     bool
	verbose   bool
	progress  bool
}

func newGetCmd() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get ADDRESS... DEST",
		Short: "Make DEST what a recipe says",
		Long: `get makes DEST what the recipe at ADDRESS says. A tree's entries land in DEST; a file lands at DEST,
or in it if DEST is a directory or ends in a slash. ADDRESS is what "dfetch serve" prints; a path behind its
id names a part of the tree. With several addresses of one recipe, all of their senders are used at once. A
.dfr file may stand beside them: it saves fetching the recipe, and names no sender by itself.

A file whose size and time are right stays as it is. Content that is missing is looked for on this machine, in
DEST, in what every user may read beside it and where --search says, as long as that is faster than the
network; the rest is fetched meanwhile. With -n, the senders are asked for a little and this machine is searched
for a few seconds, and what that says is told. All is checked against the recipe,
put together in DEST/.dfetch and then renamed into place. A run that was stopped, by whatever, loses nothing:
the same command goes on from what was verified.`,
		Args: wantArgs(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := get(cmd, &f, args)
			if err != nil && !f.reported && f.report != "" {
				r := &fetch.Report{
					Version: fetch.ReportVersion, Exit: codeOf(err), Error: err.Error(), Sources: map[string]fetch.SourceReport{},
				}
				err = withCode(r.Exit, errors.Join(err, writeReport(r, f.report)))
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func (f *getFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.from, "from", nil, "use these SOURCES alone, of dest, disk and sender (default: all that there are; what is right at DEST always counts)")
	fl.StringArrayVar(&f.search.Roots, "search", nil, "look for content in this DIR as well (repeat)")
	fl.Var(&f.indexMax, "index-max", "how large the index may grow in this run (default: as was said to \"dfetch index\")")
	fl.BoolVar(&f.search.Off, "no-search", false, "don't look for content elsewhere on this machine")
	fl.BoolVar(&f.search.Trusted, "trust-recipe", false, "search private files beside DEST, and all that the index knows, too: the recipe's author may learn what they hold")
	fl.StringArrayVar(&f.trust, "trust", nil, "want the .dfr file that is named beside the address signed by this key, and trust it (repeat: one of them)")
	fl.BoolVar(&f.search.NoPressure, "no-pressure", false, "search the disk even where that makes the transfer slower (to compare with)")
	fl.StringVar(&f.order, "disk-order", "cpc", "search in this ORDER: cpc, bfs or allstats (to compare with)")
	fl.BoolVarP(&f.dryRun, "dry-run", "n", false, "say what would come from where, and how long that takes, and change nothing")
	fl.StringArrayVar(&f.explain, "explain", nil, "say where the bytes of the file PATH of DEST came from and why, or of all files below it (repeat; . is all)")
	fl.BoolVar(&f.checksum, "checksum", false, "read the files at DEST instead of trusting size and time")
	fl.StringVar(&f.fsync, "fsync", "end", "force data to the disk at WHEN: none, end (before files get their names, in batches) or file (each one)")
	fl.BoolVar(&f.delete, "delete", false, "remove what is in DEST and not in the recipe")
	fl.IntVar(&f.maxDelete, "max-delete", 0, "with --delete: remove at most N entries (default: no limit)")
	fl.Var(&f.maxSize, "max-size", "refuse recipes of more content than this")
	fl.Var(&f.bwlimit, "bwlimit", "ask for at most this much a second; a plain number is KiB, 0 no limit")
	fl.StringVar(&f.tokenFile, "token-file", "", "read the access token from FILE")
	fl.Var(&ruleFlag{&f.rules, true}, "include", "fetch what matches this pattern, whatever a later --exclude says (repeat; the first that matches counts)")
	fl.Var(&ruleFlag{&f.rules, false}, "exclude", "leave out what matches this pattern, as rsync's patterns match (repeat)")
	fl.StringVar(&f.filesFrom, "files-from", "", "fetch only the paths that FILE lists, one a line, with all below them")
	fl.StringVar(&f.trace, "trace", "", "record the control loop's events in FILE (see dfetch replay)")
	fl.StringVar(&f.report, "report", "", "write a report in JSON to FILE")
	fl.BoolVar(&f.json, "json", false, "events and report as JSON on stdout, one a line")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say only what goes wrong")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "tell small things too: what was deleted, what could not be searched")
	fl.BoolVarP(&f.progress, "progress", "P", false, "show progress even if stderr is not a terminal, a line each second")
	nameValues(fl, "SOURCES", "from")
	nameValues(fl, "DIR", "search")
	nameValues(fl, "ORDER", "disk-order")
	nameValues(fl, "WHEN", "fsync")
	nameValues(fl, "N", "max-delete")
	nameValues(fl, "KEY", "trust")
	nameValues(fl, "PATH", "explain")
	nameValues(fl, "FILE", "token-file", "files-from", "trace", "report")
}

// fsyncModes are the values of --fsync.
var fsyncModes = map[string]tree.Fsync{"none": tree.FsyncNone, "end": tree.FsyncEnd, "file": tree.FsyncFile}

// diskOrders are the values of --disk-order.
var diskOrders = map[string]costmodel.Order{"cpc": costmodel.ByCPC, "bfs": costmodel.BFS, "allstats": costmodel.AllStats}

func (f *getFlags) config(cmd *cobra.Command) (fetch.Config, error) {
	cfg := fetch.Config{
		Checksum: f.checksum, Delete: f.delete, MaxSize: uint64(f.maxSize), MaxRate: float64(f.bwlimit),
	}
	var ok bool
	if cfg.Fsync, ok = fsyncModes[f.fsync]; !ok {
		return cfg, usagef("--fsync %q: want none, end or file", f.fsync)
	}
	if cmd.Flags().Changed("max-delete") {
		if f.maxDelete < 0 || !f.delete {
			return cfg, usagef("--max-delete wants a number from 0 on, and --delete")
		}
		if cfg.MaxDelete = f.maxDelete; f.maxDelete == 0 {
			cfg.MaxDelete = -1
		}
	}
	cfg.Verbose, cfg.Search, cfg.Explain = f.verbose, f.search, f.explain
	cfg.Search.IndexMax = int64(f.indexMax)
	if cfg.Search.Order, ok = diskOrders[f.order]; !ok {
		return cfg, usagef("--disk-order %q: want cpc, bfs or allstats", f.order)
	}
	var err error
	if cfg.Select, err = f.selection(); err != nil {
		return cfg, err
	}
	if cache, err := (places{}).cache(); err == nil {
		cfg.CacheDir = filepath.Join(cache, "nodes")
		cfg.Search.Index = filepath.Join(cache, indexDir)
	}
	return cfg, nil
}

// ruleFlag is --include or --exclude: both add to one list, in the order of the command line.
type ruleFlag struct {
	rules   *[]fetch.Rule
	include bool
}

// String implements pflag.Value.
func (r *ruleFlag) String() string { return "" }

// Type implements pflag.Value: the word that help shows for the value.
func (r *ruleFlag) Type() string { return "PATTERN" }

// Set implements pflag.Value.
func (r *ruleFlag) Set(pattern string) error {
	*r.rules = append(*r.rules, fetch.Rule{Include: r.include, Pattern: pattern})
	return nil
}

func (f *getFlags) selection() (fetch.Selection, error) {
	s := fetch.Selection{Rules: f.rules}
	if err := s.Validate(); err != nil {
		return s, usagef("%v", err)
	}
	if f.filesFrom == "" {
		return s, nil
	}
	list, err := os.Open(f.filesFrom)
	if err != nil {
		return s, withCode(exitSelection, fmt.Errorf("--files-from: %w", err))
	}
	defer list.Close()
	if s.Only, err = fetch.ReadOnly(list); err != nil {
		return s, withCode(exitSelection, fmt.Errorf("--files-from %s: %w", f.filesFrom, err))
	}
	return s, nil
}

// sources says which sources --from allows.
func (f *getFlags) sources() (sender, disk bool, err error) {
	if len(f.from) == 0 {
		return true, true, nil
	}
	for _, s := range f.from {
		switch s {
		case "dest":
		case "disk":
			disk = true
		case "sender":
			sender = true
		default:
			return false, false, usagef("--from %q: want dest, disk or sender", s)
		}
	}
	return sender, disk, nil
}

func get(cmd *cobra.Command, f *getFlags, args []string) error {
	if args[len(args)-1] == "" {
		return usagef("DEST is empty")
	}
	if err := f.checkReport(args[len(args)-1]); err != nil {
		f.reported = true // as far as it can be
		return err
	}
	cfg, err := f.config(cmd)
	if err != nil {
		return err
	}
	token, err := readTokenFile(f.tokenFile)
	if err != nil {
		return err
	}
	o, err := resolve(args[:len(args)-1], token)
	if err != nil {
		return err
	}
	defer o.close()
	sender, disk, err := f.sources()
	if err != nil {
		return err
	}
	cfg.Search.Off = cfg.Search.Off || !disk
	if len(f.trust) > 0 {
		if err := o.signedBy(f.trust); err != nil {
			return err
		}
		cfg.Search.Trusted = true
	}
	cfg.Recipe, cfg.Local, cfg.Dest = o.id, o.file, args[len(args)-1]
	cfg.Select.Path = o.path
	switch {
	case sender:
		cfg.Endpoints = o.endpoints
	case o.file == nil:
		return usagef("--from %s: the recipe comes from a sender too, unless a .dfr file is named beside the address", strings.Join(f.from, ","))
	}
	if len(o.endpoints) == 0 && o.file == nil {
		return withCode(exitMissing, errors.New("the address names no source; an address that \"dfetch serve\" prints does"))
	}
	if f.dryRun && f.trace != "" {
		return usagef("-n makes no --trace")
	}
	if f.dryRun {
		return dryRun(cmd, f, cfg)
	}
	return runGet(cmd, f, cfg)
}

// runGet fetches, and tells in the ways that the flags ask for.
func runGet(cmd *cobra.Command, f *getFlags, cfg fetch.Config) error {
	trace, err := createIf(f.trace)
	if err != nil {
		return err
	}
	if trace != nil {
		defer trace.Close()
		cfg.Trace = trace
	}
	v := newView(cmd, f)
	cfg.Log, cfg.Progress = v.note, v.progress
	report, err := fetch.Run(cmd.Context(), cfg)
	v.bar.clear()
	report.Exit = codeOf(err)
	err = errors.Join(err, v.end(report))
	if err != nil {
		err = withCode(codeOf(err), explain(err, cmd.Context()))
	}
	if trace != nil {
		err = errors.Join(err, trace.Sync())
	}
	return err
}

// createIf creates a file if one is named.
func createIf(path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	return os.Create(path)
}

// explain makes an error one for people: entries that failed one by one, and how to go on.
func explain(err error, ctx context.Context) error {
	if errors.Is(err, errInterrupted) || ctx.Err() != nil {
		return errors.New("interrupted; the same command goes on from what was verified")
	}
	var partial *tree.PartialError
	if !errors.As(err, &partial) {
		return err
	}
	var lines strings.Builder
	for i, f := range partial.Failed {
		if i == 20 {
			fmt.Fprintf(&lines, "and %d more\n", partial.Count-20)
			break
		}
		fmt.Fprintf(&lines, "%s\n", f)
	}
	short := fmt.Sprintf("%d entries failed", partial.Count)
	return errors.New(lines.String() + strings.Replace(err.Error(), partial.Error(), short, 1))
}

// view shows a run to people, or to a program that reads JSON.
type view struct {
	f      *getFlags
	out    io.Writer
	errs   io.Writer
	bar    *line
	start  time.Time
	spoken time.Time // when -P spoke last
}

func newView(cmd *cobra.Command, f *getFlags) *view {
	return &view{f: f, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), bar: newLine(cmd.ErrOrStderr(), f.quiet || f.json), start: time.Now()}
}

// jsonEvent is a line of --json; docs/json.md describes it.
type jsonEvent struct {
	V       int                           `json:"v"`
	Event   string                        `json:"event"`
	T       float64                       `json:"t"`
	Text    string                        `json:"text,omitempty"`
	Files   uint64                        `json:"files,omitempty"`
	Bytes   uint64                        `json:"bytes,omitempty"`
	Done    uint64                        `json:"done,omitempty"`
	Rate    float64                       `json:"rate,omitempty"`
	ETA     float64                       `json:"eta_s,omitempty"`
	Planned bool                          `json:"planned,omitempty"`
	Sources map[string]fetch.SourceReport `json:"sources,omitempty"`
}

func (v *view) emit(ev jsonEvent) {
	ev.V, ev.T = fetch.ReportVersion, time.Since(v.start).Seconds()
	if b, err := json.Marshal(ev); err == nil {
		fmt.Fprintf(v.out, "%s\n", b)
	}
}

func (v *view) note(text string) {
	if v.f.json {
		v.emit(jsonEvent{Event: "note", Text: text})
		return
	}
	if !v.f.quiet {
		v.bar.clear()
		say(v.errs, "%s", text)
	}
}

func (v *view) progress(s fetch.Snapshot) {
	switch {
	case v.f.json:
		v.emit(jsonEvent{
			Event: "progress", Files: s.Files, Bytes: s.Bytes, Done: s.Done, Rate: s.Rate, ETA: s.ETA.Seconds(),
			Planned: s.Planned, Sources: s.Sources,
		})
	case v.f.progress && v.bar.w == nil:
		if time.Since(v.spoken) >= time.Second {
			v.spoken = time.Now()
			fmt.Fprintln(v.errs, progressLine(s))
		}
	default:
		v.bar.show("%s", progressLine(s))
	}
}

// end shows the report and writes it where --report wants it.
func (v *view) end(r *fetch.Report) error {
	switch {
	case v.f.json:
		if err := json.NewEncoder(v.out).Encode(r); err != nil {
			return err
		}
	case !v.f.quiet && r.Exit == exitDone:
		summary(v.out, r)
	}
	if !v.f.json {
		explainFiles(v.out, r.Explained, r.Unexplained)
	}
	if v.f.report == "" {
		return nil
	}
	v.f.reported = true
	return writeReport(r, v.f.report)
}

// checkReport finds out whether --report can be written, before anything is done. Its directory may be one that the run makes in DEST.
func (f *getFlags) checkReport(dest string) error {
	if f.report == "" {
		return nil
	}
	path := f.report
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		path = filepath.Dir(path)
	}
	err := unix.Access(path, unix.W_OK)
	if err == nil || err == unix.ENOENT && isIn(path, dest) {
		return nil
	}
	return withCode(exitFileIO, fmt.Errorf("--report %s: %w", f.report, err))
}

// isIn says whether a path is a directory or lies below it, by their names.
func isIn(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// writeReport writes a report to a file.
func writeReport(r any, path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o666)
}

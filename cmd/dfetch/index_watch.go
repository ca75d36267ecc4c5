package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"dfetch/diskscan"
	"dfetch/diskscan/watch"
)

// watchIndex brings the index up to date and keeps it so until the command is told to end.
func watchIndex(cmd *cobra.Command, size sizeFlag, args []string) error {
	dir, err := indexPath()
	if err != nil {
		return err
	}
	named, err := realDirs(args)
	if err != nil {
		return err
	}
	w := &indexWatch{
		cmd: cmd, named: named, bar: newLine(cmd.ErrOrStderr(), false),
		cfg: diskscan.IndexConfig{Dir: dir, Max: int64(size), Wait: true},
	}
	defer w.bar.clear()
	return watch.Run(cmd.Context(), watch.Config{
		Open: w.open, Roots: w.roots, Tell: w.tell, Trouble: w.trouble, Progress: showsFiles(w.bar),
	})
}

// indexWatch is one watching command.
type indexWatch struct {
	cmd   *cobra.Command
	named []string // directories; none: all that were added
	bar   *line
	cfg   diskscan.IndexConfig
	begun bool
	said  map[string]bool // by what it is about: what is said once as long as it lasts
}

// open opens the index for one pass.
func (w *indexWatch) open() (*diskscan.Index, error) {
	x := diskscan.OpenIndex(w.cfg)
	note := x.Note()
	switch {
	case errors.Is(note, diskscan.ErrLocked):
		if !w.begun { // later on a transfer has it, which is what the index is for
			w.once("locked", fmt.Errorf("%w; waiting", note))
		}
		return nil, errors.Join(note, x.Close())
	case x.Mode() != diskscan.IndexShared:
		return nil, withCode(exitFileIO, errors.Join(note, x.Close()))
	}
	w.cfg.Max = 0 // it is remembered, and another command may change it
	w.once("note", note)
	return x, nil
}

// trouble says what went wrong with a pass, once until one goes well.
func (w *indexWatch) trouble(err error) {
	if !w.said["trouble"] {
		w.once("trouble", err)
		say(w.cmd.ErrOrStderr(), "trying again each minute")
	}
}

// roots are the directories to be watched. They must be some to begin with.
func (w *indexWatch) roots(ctx context.Context, x *diskscan.Index) ([]string, error) {
	added, err := x.Roots(ctx)
	if err == nil && !w.begun {
		err = w.begin(added)
	}
	if err != nil || len(w.named) == 0 {
		return added, err
	}
	return slices.DeleteFunc(slices.Clone(w.named), func(dir string) bool { return !isIndexed(dir, added) }), nil
}

// begin fails if there is nothing to watch, or something that was not added.
func (w *indexWatch) begin(added []string) error {
	if err := areIndexed(w.named, added); err != nil {
		return err
	}
	if len(added) == 0 {
		return withCode(exitSelection, errors.New(`there is nothing to watch: no directory was added, see "dfetch index add"`))
	}
	w.begun = true
	return nil
}

// tell says what a pass did, if it did anything.
func (w *indexWatch) tell(p watch.Pass) {
	w.bar.clear()
	if p.All || p.Stats.Hashed > 0 {
		printUpdate(w.cmd.OutOrStdout(), &p.Stats)
	}
	w.once("trouble", nil)
	w.once("unwatched", p.Unwatched)
	w.problems(&p)
}

// problems says what a pass left out, each kind of it once. That it is over is seen when everything is listed.
func (w *indexWatch) problems(p *watch.Pass) {
	st := &p.Stats
	for _, part := range []struct {
		about string
		of    diskscan.UpdateStats
	}{{"full", diskscan.UpdateStats{Left: st.Left}}, {"refused", diskscan.UpdateStats{Refused: st.Refused}}, {"errors", diskscan.UpdateStats{Errors: st.Errors}}} {
		if err := updateProblems(&part.of); err != nil || p.All {
			w.once(part.about, err)
		}
	}
}

// once says an error, unless one about the same was said and has lasted since.
func (w *indexWatch) once(about string, err error) {
	if err != nil && !w.said[about] {
		w.bar.clear()
		complain(w.cmd.ErrOrStderr(), err)
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[about] = err != nil
}

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
	return watch.Run(cmd.Context(), watch.Config{
		Open: w.open, Roots: w.roots, Tell: w.tell, Progress: showsFiles(w.bar),
		Trouble: func(err error) { complain(cmd.ErrOrStderr(), fmt.Errorf("%w; trying again in a minute", err)) },
	})
}

// indexWatch is one watching command.
type indexWatch struct {
	cmd   *cobra.Command
	named []string // directories; none: all that were added
	bar   *line
	cfg   diskscan.IndexConfig
	begun bool
	said  map[string]bool // by kind: what is said once as long as it lasts
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

// roots are the directories to be watched. They must be some to begin with.
func (w *indexWatch) roots(ctx context.Context, x *diskscan.Index) ([]string, error) {
	added, err := x.Roots(ctx)
	if err != nil || w.begun && len(w.named) == 0 {
		return added, err
	}
	isAdded := func(dir string) bool {
		return slices.ContainsFunc(added, func(root string) bool { return isIn(dir, root) })
	}
	if w.begun {
		return slices.DeleteFunc(slices.Clone(w.named), func(dir string) bool { return !isAdded(dir) }), nil
	}
	for _, dir := range w.named {
		if !isAdded(dir) {
			return nil, notIndexed(dir)
		}
	}
	if len(added) == 0 {
		return nil, withCode(exitSelection, errors.New(`there is nothing to watch: no directory was added, see "dfetch index add"`))
	}
	w.begun = true
	if len(w.named) > 0 {
		added = w.named
	}
	return added, nil
}

// tell says what a pass did, if it did anything.
func (w *indexWatch) tell(p watch.Pass) {
	w.bar.clear()
	if p.All || p.Stats.Hashed > 0 {
		printUpdate(w.cmd.OutOrStdout(), &p.Stats)
	}
	w.once("unwatched", p.Unwatched)
	if st := p.Stats; p.All || st.Left+st.Errors > 0 || len(st.Refused) > 0 {
		w.once("problems", updateProblems(&st))
	}
}

// once says an error, unless one of this kind was said and has lasted since.
func (w *indexWatch) once(kind string, err error) {
	if err != nil && !w.said[kind] {
		complain(w.cmd.ErrOrStderr(), err)
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[kind] = err != nil
}

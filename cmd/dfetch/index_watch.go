package main

import (
	"context"
	"errors"

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
	w := &indexWatch{cmd: cmd, args: args, bar: newLine(cmd.ErrOrStderr(), false)}
	return watch.Run(cmd.Context(), watch.Config{
		Open: func() (*diskscan.Index, error) {
			return w.open(diskscan.IndexConfig{Dir: dir, Max: int64(size), Wait: true})
		},
		Roots:    w.roots,
		Tell:     w.tell,
		Progress: showsFiles(w.bar),
	})
}

// indexWatch is one watching command. What it says of the same kind again and again it says once.
type indexWatch struct {
	cmd  *cobra.Command
	args []string
	bar  *line
	said map[string]string // by kind
}

// open opens the index for one pass.
func (w *indexWatch) open(cfg diskscan.IndexConfig) (*diskscan.Index, error) {
	x := diskscan.OpenIndex(cfg)
	note := x.Note()
	switch {
	case errors.Is(note, diskscan.ErrLocked):
		w.once("locked", note)
		return nil, errors.Join(note, x.Close())
	case x.Mode() != diskscan.IndexShared:
		return nil, withCode(exitFileIO, errors.Join(note, x.Close()))
	}
	w.once("locked", nil)
	w.once("note", note)
	return x, nil
}

// roots are the directories to be watched, which must be some to begin with.
func (w *indexWatch) roots(ctx context.Context, x *diskscan.Index) ([]string, error) {
	dirs, err := updatable(ctx, x, w.args)
	if err == nil && len(dirs) == 0 {
		err = withCode(exitSelection, errors.New(`there is nothing to watch: no directory was added, see "dfetch index add"`))
	}
	return dirs, err
}

// tell says what a pass did, if it did anything.
func (w *indexWatch) tell(p watch.Pass) {
	w.bar.clear()
	if p.All || p.Stats.Hashed > 0 {
		printUpdate(w.cmd.OutOrStdout(), &p.Stats)
	}
	w.once("unwatched", p.Unwatched)
	if p.All {
		w.once("problems", updateProblems(&p.Stats))
	}
}

// once says an error, unless it is what was said of this kind last.
func (w *indexWatch) once(kind string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && w.said[kind] != text {
		complain(w.cmd.ErrOrStderr(), err)
	}
	if w.said == nil {
		w.said = map[string]string{}
	}
	w.said[kind] = text
}

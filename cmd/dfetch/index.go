package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/spf13/cobra"

	"dfetch/diskscan"
)

// indexDir is the directory of the index in the cache directory.
const indexDir = "index"

// newIndexCmd makes "dfetch index".
func newIndexCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Keep the index of what lies on the disks",
		Long: `Keep the index of the chunks that lie on the disks of this machine.

The index lies in $XDG_CACHE_HOME/dfetch/index. "dfetch get" asks it and adds to it what it reads; with
"dfetch index add" it knows directories before they are needed. What it says is always checked: a stale
or damaged index costs time and nothing else, and it may be deleted at any time.

A get reads what the index knows of the places that it searches anyway: DEST, what every user may read beside it,
and --search. The other directories that were added are read for trusted recipes alone: "dfetch get
--trust-recipe" or --trust KEY. A recipe's author might else learn what this machine holds.`,
		Args: cobra.ArbitraryArgs,
		RunE: needCommand,
	}
	cmd.AddCommand(newIndexAddCmd(), newIndexRmCmd(), newIndexListCmd(), newIndexUpdateCmd(), newIndexStatsCmd())
	return cmd
}

// withIndex opens the index for a command that is about nothing else: unlike a transfer, it fails if the
// index can't be had.
func withIndex(stderr io.Writer, size sizeFlag, change bool, do func(*diskscan.Index) error) error {
	dir, err := indexPath()
	if err != nil {
		return err
	}
	x := diskscan.OpenIndex(diskscan.IndexConfig{Dir: dir, Max: int64(size), Wait: true})
	switch mode := x.Mode(); {
	case mode == diskscan.IndexMemory, mode == diskscan.IndexReadOnly && change:
		return withCode(exitFileIO, errors.Join(x.Note(), x.Close()))
	case x.Note() != nil:
		say(stderr, "%v", x.Note())
	}
	err = errors.Join(do(x), x.Close())
	if trouble := x.Trouble(); trouble != nil {
		err = errors.Join(err, withCode(exitFileIO, trouble))
	}
	return err
}

func indexPath() (string, error) {
	cache, err := places{}.cache()
	return filepath.Join(cache, indexDir), err
}

// noIndex says whether there is no index: asking does not begin one.
func noIndex() bool {
	dir, err := indexPath()
	if err != nil {
		return false
	}
	_, err = os.Stat(dir)
	return errors.Is(err, os.ErrNotExist)
}

func indexMaxFlag(cmd *cobra.Command, size *sizeFlag) {
	cmd.Flags().Var(size, "index-max", "how large the index may grow, now and later (default 2G)")
}

func newIndexAddCmd() *cobra.Command {
	var size sizeFlag
	cmd := &cobra.Command{
		Use:   "add DIR...",
		Short: "Index directories, and remember them",
		Long: `add reads what lies in directories and below, notes its chunks, and remembers the directories for "update".
They are remembered without symlinks; one may lie in another. Mounts below them are not entered.

It says how many files there are, how many of them the index knew as they are, how many it read, and how many
versions of files it dropped. Files with a time of the last two seconds, or of the future, are left for a later update.
When the index is full (--index-max), the rest is not noted, and the exit code is 23.`,
		Args: wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withIndex(cmd.ErrOrStderr(), size, true, func(x *diskscan.Index) error {
				dirs, err := realDirs(args)
				if err == nil {
					err = canIndex(cmd.Context(), dirs)
				}
				if err != nil {
					return err
				}
				for _, dir := range dirs {
					if err := x.AddRoot(cmd.Context(), dir); err != nil {
						return err
					}
				}
				return updateIndex(cmd, x, dirs)
			})
		},
	}
	indexMaxFlag(cmd, &size)
	return cmd
}

func newIndexUpdateCmd() *cobra.Command {
	var size sizeFlag
	var watch bool
	cmd := &cobra.Command{
		Use:   "update [DIR...]",
		Short: "Bring the index up to date, for all directories or some",
		Long: `update lists what "add" remembered, or directories in it, reads the files that are new or changed, and drops those
that are gone. It says what "add" says.

With --watch it does not end: it reads what changes from then on, some seconds after it changed, and says so. A
directory that changes all the time is read less and less often, every ten minutes in the end. The kernel does not tell
of all changes (those by other machines, for example), so everything is listed again an hour after the last time, and
what is gone is dropped then. Once the first update is over, the index is free for others but for the moments in which
it is updated. What goes wrong after that is said, and tried again.
SIGINT or SIGTERM ends it, with exit code 0.`,
		Args: wantArgs(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && noIndex() {
				return notIndexed(args[0])
			}
			if watch {
				return watchIndex(cmd, size, args)
			}
			return withIndex(cmd.ErrOrStderr(), size, true, func(x *diskscan.Index) error {
				dirs, err := updatable(cmd.Context(), x, args)
				if err != nil {
					return err
				}
				return updateIndex(cmd, x, dirs)
			})
		},
	}
	indexMaxFlag(cmd, &size)
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, and read what changes")
	return cmd
}

// canIndex fails if one of the directories can't be searched.
func canIndex(ctx context.Context, dirs []string) error {
	scope := diskscan.OpenScope(ctx, diskscan.ScopeConfig{Roots: dirs})
	defer scope.Close()
	var errs []error
	for _, r := range scope.Refused() {
		errs = append(errs, withCode(exitFileIO, fmt.Errorf("%s: %w", r.Path, r.Err)))
	}
	return errors.Join(errs...)
}

// updatable are the directories that are named, all that the index has if none is. They lie in those that were added.
func updatable(ctx context.Context, x *diskscan.Index, args []string) ([]string, error) {
	roots, err := x.Roots(ctx)
	if err != nil || len(args) == 0 {
		return roots, err
	}
	dirs, err := realDirs(args)
	return dirs, errors.Join(err, areIndexed(dirs, roots))
}

// areIndexed fails if one of the directories does not lie in those that were added.
func areIndexed(dirs, added []string) error {
	for _, dir := range dirs {
		if !isIndexed(dir, added) {
			return notIndexed(dir)
		}
	}
	return nil
}

func isIndexed(dir string, added []string) bool {
	return slices.ContainsFunc(added, func(root string) bool { return isIn(dir, root) })
}

func notIndexed(dir string) error {
	return withCode(exitSelection, fmt.Errorf("%s is not in the index", dir))
}

// realDirs are the absolute paths of directories, without symlinks, as the index knows them.
func realDirs(args []string) ([]string, error) {
	var dirs []string
	for _, arg := range args {
		dir, err := filepath.Abs(arg)
		if err == nil {
			dir, err = filepath.EvalSymlinks(dir)
		}
		if err != nil {
			return nil, withCode(exitFileIO, err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// updateIndex indexes what is new in directories and tells what it did.
func updateIndex(cmd *cobra.Command, x *diskscan.Index, dirs []string) error {
	bar := newLine(cmd.ErrOrStderr(), false)
	st, err := diskscan.Update(cmd.Context(), diskscan.UpdateConfig{Index: x, Roots: dirs, Progress: showsFiles(bar)})
	bar.clear()
	printUpdate(cmd.OutOrStdout(), &st)
	if st.Young > 0 {
		say(cmd.ErrOrStderr(), "%d files have a time of a moment ago, or of the future, and are left for a later update", st.Young)
	}
	return errors.Join(err, updateProblems(&st))
}

// showsFiles makes what shows on a line how many files were read.
func showsFiles(bar *line) func(path string, size int64) {
	var files, bytes atomic.Int64
	return func(path string, size int64) {
		bar.show("%d files read (%s): %s", files.Add(1), formatSize(bytes.Add(size)), printable(path))
	}
}

func printUpdate(w io.Writer, st *diskscan.UpdateStats) {
	fmt.Fprintf(w, "%d files: %d as they were, %d read (%s), %d gone or changed\n",
		st.Files, st.Known, st.Hashed, formatSize(st.Bytes), st.Dropped)
}

// updateProblems is what an update left out.
func updateProblems(st *diskscan.UpdateStats) error {
	var errs []error
	if st.Left > 0 {
		errs = append(errs, withCode(exitPartial, fmt.Errorf("%d files are not in the index, which is full: see --index-max", st.Left)))
	}
	for _, r := range st.Refused {
		errs = append(errs, withCode(exitFileIO, fmt.Errorf("%s: %w", r.Path, r.Err)))
	}
	if st.Errors > 0 {
		errs = append(errs, withCode(exitPartial, fmt.Errorf("%d entries could not be read", st.Errors)))
	}
	return errors.Join(errs...)
}

func newIndexRmCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "rm DIR...",
		Short: "Forget directories and what lies in them",
		Args:  wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if noIndex() {
				return notIndexed(args[0])
			}
			return withIndex(cmd.ErrOrStderr(), 0, true, func(x *diskscan.Index) error {
				for _, arg := range args {
					if err := removeRoot(cmd.Context(), x, arg); err != nil {
						return err
					}
				}
				return x.Sync(cmd.Context())
			})
		},
	}
}

// removeRoot forgets a directory by the name that the user gives it, which may not exist any more.
func removeRoot(ctx context.Context, x *diskscan.Index, arg string) error {
	dir, err := filepath.Abs(arg)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	found, err := x.RemoveRoot(ctx, dir)
	if err == nil && !found {
		err = notIndexed(dir)
	}
	return err
}

func newIndexListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the directories that were added",
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if noIndex() {
				return nil
			}
			return withIndex(cmd.ErrOrStderr(), 0, false, func(x *diskscan.Index) error {
				roots, err := x.Roots(cmd.Context())
				for _, dir := range roots {
					fmt.Fprintln(cmd.OutOrStdout(), printable(dir))
				}
				return err
			})
		},
	}
}

func newIndexStatsCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Tell how large the index is",
		Long: `stats counts the directories that were added, the versions of files and the chunks that the index knows, and the
bytes that it takes and may take. "get" adds files of its own.`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if noIndex() {
				printStats(cmd.OutOrStdout(), diskscan.IndexStats{})
				return nil
			}
			return withIndex(cmd.ErrOrStderr(), 0, false, func(x *diskscan.Index) error {
				st, err := x.Stats(cmd.Context())
				printStats(cmd.OutOrStdout(), st)
				return err
			})
		},
	}
}

func printStats(w io.Writer, st diskscan.IndexStats) {
	fmt.Fprintf(w, "directories %d\nfiles       %d\nchunks      %d\nsize        %s\n", st.Roots, st.Files, st.Chunks, formatSize(st.Bytes))
	if st.Max > 0 {
		fmt.Fprintf(w, "at most     %s\n", formatSize(st.Max))
	}
}

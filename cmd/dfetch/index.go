package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

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
or damaged index costs time and nothing else, and it may be deleted at any time.`,
		Args: cobra.ArbitraryArgs,
		RunE: needCommand,
	}
	cmd.AddCommand(newIndexAddCmd(), newIndexRmCmd(), newIndexListCmd(), newIndexUpdateCmd(), newIndexStatsCmd())
	return cmd
}

// withIndex opens the index for a command that is about nothing else: unlike a transfer, it fails if the
// index can't be had.
func withIndex(stderr io.Writer, size sizeFlag, change bool, do func(*diskscan.Index) error) error {
	cache, err := places{}.cache()
	if err != nil {
		return err
	}
	x := diskscan.OpenIndex(diskscan.IndexConfig{Dir: filepath.Join(cache, indexDir), Max: int64(size), Wait: true})
	switch mode := x.Mode(); {
	case mode == diskscan.IndexMemory, mode == diskscan.IndexReadOnly && change:
		return withCode(exitFileIO, errors.Join(x.Note(), x.Close()))
	case x.Note() != nil:
		say(stderr, "%v", x.Note())
	}
	return errors.Join(do(x), x.Close())
}

func indexMaxFlag(cmd *cobra.Command, size *sizeFlag) {
	cmd.Flags().Var(size, "index-max", "how large the index may grow (default 2G)")
}

func newIndexAddCmd() *cobra.Command {
	var size sizeFlag
	cmd := &cobra.Command{
		Use:   "add DIR...",
		Short: "Index directories, and remember them",
		Args:  wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withIndex(cmd.ErrOrStderr(), size, true, func(x *diskscan.Index) error {
				dirs, err := realDirs(args)
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
	cmd := &cobra.Command{
		Use:   "update [DIR...]",
		Short: "Bring the index up to date, for all directories or some",
		Args:  wantArgs(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withIndex(cmd.ErrOrStderr(), size, true, func(x *diskscan.Index) error {
				dirs, err := realDirs(args)
				if err == nil && len(args) == 0 {
					dirs, err = x.Roots(cmd.Context())
				}
				if err != nil {
					return err
				}
				return updateIndex(cmd, x, dirs)
			})
		},
	}
	indexMaxFlag(cmd, &size)
	return cmd
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
	st, err := diskscan.Update(cmd.Context(), diskscan.UpdateConfig{Index: x, Roots: dirs})
	fmt.Fprintf(cmd.OutOrStdout(), "%d files: %d as they were, %d read (%s), %d gone\n",
		st.Files, st.Known, st.Hashed, formatSize(st.Bytes), st.Dropped)
	for _, r := range st.Refused {
		err = errors.Join(err, withCode(exitFileIO, fmt.Errorf("%s: %w", r.Path, r.Err)))
	}
	if st.Errors > 0 {
		err = errors.Join(err, withCode(exitPartial, fmt.Errorf("%d entries could not be read", st.Errors)))
	}
	return err
}

func newIndexRmCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "rm DIR...",
		Short: "Forget directories and what lies in them",
		Args:  wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
		err = withCode(exitSelection, fmt.Errorf("%s is not in the index", dir))
	}
	return err
}

func newIndexListCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the directories that were added",
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withIndex(cmd.ErrOrStderr(), 0, false, func(x *diskscan.Index) error {
				st, err := x.Stats(cmd.Context())
				fmt.Fprintf(cmd.OutOrStdout(), "directories %d\nfiles       %d\nchunks      %d\nsize        %s\n",
					st.Roots, st.Files, st.Chunks, formatSize(st.Bytes))
				return err
			})
		},
	}
}

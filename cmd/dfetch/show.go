package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dfetch/fetch"
	"dfetch/recipe"
)

func newShowCmd() *cobra.Command {
	var files bool
	var diff, tokenFile string
	cmd := &cobra.Command{
		Use:   "show FILE.dfr|ADDRESS",
		Short: "Show what a recipe holds",
		Long: `show prints what a recipe holds: counts, how it was made, and who signed it. It reads a .dfr file, or fetches
from the address's sender what it needs. --diff marks what is new (+), gone (-) or changed (*).`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := readTokenFile(tokenFile)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			err = withRecipe(cmd.Context(), args[0], token, func(ctx context.Context, root *recipe.Root, nodes recipe.Nodes, o *origin) error {
				switch {
				case diff != "":
					return showDiff(ctx, out, root, nodes, diff, token)
				case files:
					return showFiles(ctx, out, root, nodes, o.path)
				}
				return showRoot(out, root, o.file)
			})
			return errors.Join(err, out.Flush())
		},
	}
	cmd.Flags().BoolVar(&files, "files", false, "list the entries: mode, size, time (UTC), path")
	cmd.Flags().StringVar(&diff, "diff", "", "list what differs from this older RECIPE (a .dfr file or an address)")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "read the access token from FILE")
	nameValues(cmd.Flags(), "RECIPE", "diff")
	nameValues(cmd.Flags(), "FILE", "token-file")
	return cmd
}

// withRecipe calls do with a recipe that a word names: from the file, or from its sender.
func withRecipe(ctx context.Context, word, token string, do func(context.Context, *recipe.Root, recipe.Nodes, *origin) error) error {
	o, err := resolve([]string{word}, token)
	if err != nil {
		return err
	}
	defer o.close()
	if o.file != nil && !o.file.Thin() {
		return do(ctx, o.file.Root(), o.file, o)
	}
	if len(o.endpoints) == 0 {
		return withCode(exitMissing, fmt.Errorf("%s names no source of the recipe", clip(word)))
	}
	cfg := fetch.Config{Recipe: o.id, Local: o.file, Endpoints: o.endpoints}
	if cache, err := (places{}).cache(); err == nil {
		cfg.CacheDir = filepath.Join(cache, "nodes")
	}
	return fetch.WithRecipe(ctx, cfg, func(ctx context.Context, root *recipe.Root, nodes recipe.Nodes) error {
		return do(ctx, root, nodes, o)
	})
}

func showRoot(w io.Writer, root *recipe.Root, file *recipe.File) error {
	raw, err := root.Encode()
	if err != nil {
		return err
	}
	c := root.Counts
	fmt.Fprintf(w, "recipe    %s\n", recipe.FormatID(root.Hash, root.Hash.Node(recipe.KindRoot, raw)))
	fmt.Fprintf(w, "holds     %d entries: %d files, %d directories\n", c.Entries, c.Files, c.Dirs)
	fmt.Fprintf(w, "content   %s, %s of it data, in %d chunks\n", formatSize(int64(c.Bytes)), formatSize(int64(c.DataBytes)), c.Chunks)
	fmt.Fprintf(w, "metadata  %s\n", maskName(root.Mask))
	fmt.Fprintf(w, "chunker   %s\n", root.Profile.Name)
	if root.Top.Type != recipe.TypeDir {
		fmt.Fprintf(w, "file      %s\n", printable(root.Top.Name))
	}
	if file == nil {
		return nil
	}
	for _, s := range recipe.Signatures(file.ID(), file.Attachments()) {
		fmt.Fprintf(w, "signed    %s\n", recipe.FormatKey(s.Key))
	}
	return nil
}

func maskName(m recipe.Mask) string {
	for name, mask := range maskNames {
		if mask == m {
			return name
		}
	}
	return fmt.Sprint(m)
}

// typeLetters are what ls -l shows for the types.
var typeLetters = map[recipe.Type]os.FileMode{
	recipe.TypeDir: os.ModeDir, recipe.TypeSymlink: os.ModeSymlink, recipe.TypeFifo: os.ModeNamedPipe,
	recipe.TypeChar: os.ModeDevice | os.ModeCharDevice, recipe.TypeBlock: os.ModeDevice,
}

func showFiles(ctx context.Context, w io.Writer, root *recipe.Root, nodes recipe.Nodes, from string) error {
	return recipe.WalkFrom(ctx, nodes, root, from, func(it recipe.Item) error {
		e := it.Entry
		path, arrow := it.Path, ""
		if path == "" {
			path = "."
		}
		switch e.Type {
		case recipe.TypeSymlink:
			arrow = " -> " + printable(e.Target)
		case recipe.TypeHardlink:
			arrow = " = " + printable(e.Target)
		}
		when := ""
		if e.Type != recipe.TypeHardlink {
			when = time.Unix(0, e.MTime).UTC().Format("2006-01-02 15:04:05")
		}
		_, err := fmt.Fprintf(w, "%s %12d %19s %s%s\n", os.FileMode(e.Mode&0o777)|typeLetters[e.Type], e.Size, when, printable(path), arrow)
		return err
	})
}

// changeLetters mark the lines of --diff.
var changeLetters = map[recipe.ChangeKind]string{recipe.Added: "+", recipe.Removed: "-", recipe.Changed: "*"}

func showDiff(ctx context.Context, w io.Writer, root *recipe.Root, nodes recipe.Nodes, older, token string) error {
	return withRecipe(ctx, older, token, func(ctx context.Context, oldRoot *recipe.Root, oldNodes recipe.Nodes, _ *origin) error {
		return recipe.Diff(ctx, oldNodes, oldRoot, nodes, root, func(c recipe.Change) error {
			_, err := fmt.Fprintf(w, "%s %s\n", changeLetters[c.Kind], printable(c.Path))
			return err
		})
	})
}

// printable quotes a name that a terminal should not be shown as it is.
func printable(name string) string {
	q := fmt.Sprintf("%q", name)
	if q == `"`+name+`"` {
		return name
	}
	return q
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dfetch/fetch"
	"dfetch/recipe"
	"dfetch/tree"
)

func newVerifyCmd() *cobra.Command {
	var tokenFile string
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify ADDRESS|FILE.dfr DEST",
		Short: "Read DEST and compare it with a recipe",
		Long: `verify reads everything at DEST and compares it with the recipe: content, and the metadata that the recipe
holds. Each difference is named; the exit code is 0 only if there is none.`,
		Args: wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := readTokenFile(tokenFile)
			if err != nil {
				return err
			}
			return withRecipe(cmd.Context(), args[0], token, func(ctx context.Context, root *recipe.Root, nodes recipe.Nodes, o *origin) error {
				return f.verify(ctx, cmd, fetch.Selection{Path: o.path}, root, nodes, args[1])
			})
		},
	}
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "read the access token from FILE")
	cmd.Flags().BoolVar(&f.extra, "extra", false, "names that the recipe does not have are differences too")
	cmd.Flags().BoolVar(&f.json, "json", false, "differences as JSON on stdout, one a line")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "don't list differences")
	nameValues(cmd.Flags(), "FILE", "token-file")
	return cmd
}

// jsonDifference is a line of verify --json.
type jsonDifference struct {
	Path string `json:"path"`
	What string `json:"what"`
	Text string `json:"text"`
}

// verifyFlags say how verify tells what it finds.
type verifyFlags struct {
	extra, json, quiet bool
}

func (f *verifyFlags) verify(ctx context.Context, cmd *cobra.Command, part fetch.Selection, root *recipe.Root, nodes recipe.Nodes, dest string) error {
	root, walk, err := part.Part(ctx, nodes, root)
	if err != nil {
		return err
	}
	out, differences := cmd.OutOrStdout(), 0
	report := func(d tree.Difference) {
		if d.What == "extra" && !f.extra {
			return
		}
		differences++
		f.show(out, d)
	}
	result, err := tree.Verify(ctx, tree.VerifyConfig{Dest: landing(root, dest), Root: root, Nodes: nodes, Walk: walk, Report: report})
	if err != nil {
		return err
	}
	if differences > 0 {
		return withCode(exitDiffers, fmt.Errorf("%s is not what the recipe says: %d differences", dest, differences))
	}
	if !f.quiet && !f.json {
		fmt.Fprintf(out, "%s is what the recipe says: %d entries, %s read\n", dest, result.Entries, formatSize(int64(result.Bytes)))
	}
	return nil
}

// show prints one difference. If that fails, the exit code still tells of it.
func (f *verifyFlags) show(w io.Writer, d tree.Difference) {
	switch {
	case f.quiet:
	case f.json:
		_ = json.NewEncoder(w).Encode(jsonDifference{d.Path, d.What, d.Text})
	default:
		path := d.Path
		if path == "" {
			path = "."
		}
		fmt.Fprintf(w, "%s: %s: %s\n", printable(path), d.What, d.Text)
	}
}

// landing is where get would have put the recipe.
func landing(root *recipe.Root, dest string) string {
	if root.Top.Type == recipe.TypeDir {
		return dest
	}
	if st, err := os.Stat(dest); strings.HasSuffix(dest, "/") || err == nil && st.IsDir() {
		return filepath.Join(dest, root.Top.Name)
	}
	return dest
}

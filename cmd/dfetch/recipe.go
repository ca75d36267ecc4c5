package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dfetch/recipe"
)

// maskNames are the values of --meta.
var maskNames = map[string]recipe.Mask{"portable": recipe.MaskPortable, "unix": recipe.MaskUnix, "full": recipe.MaskFull}

// buildFlags are the flags of the commands that make recipes.
type buildFlags struct {
	meta    string
	chunker string
	hash    string
	quiet   bool
	skip    bool // go on without what can't be read
}

func (f *buildFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.meta, "meta", "portable", "record this METADATA: portable (permissions, times, symlinks), unix (+ owner, suid, hardlinks) or full (+ xattrs, ACLs, devices)")
	cmd.Flags().StringVar(&f.chunker, "chunker", recipe.Rabin16.Name, "cut files into chunks as NAME says")
	cmd.Flags().StringVar(&f.hash, "hash", "blake3", "make ids with HASH: blake3 or sha256")
	cmd.Flags().BoolVar(&f.skip, "skip-unreadable", false, "leave out what can't be read, instead of ending with exit code 23")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	nameValues(cmd.Flags(), "METADATA", "meta")
	nameValues(cmd.Flags(), "NAME", "chunker")
	nameValues(cmd.Flags(), "HASH", "hash")
}

// config turns the flags into a build of path.
func (f *buildFlags) config(path string) (recipe.BuildConfig, error) {
	cfg := recipe.BuildConfig{Path: path, KeepGoing: true}
	var ok bool
	if cfg.Mask, ok = maskNames[f.meta]; !ok {
		return cfg, usagef("--meta %q: want portable, unix or full", f.meta)
	}
	if f.chunker != recipe.Rabin16.Name {
		return cfg, usagef("--chunker %q: want %s", f.chunker, recipe.Rabin16.Name)
	}
	switch f.hash {
	case "blake3":
		cfg.Hash = recipe.BLAKE3
	case "sha256":
		cfg.Hash = recipe.SHA256
	default:
		return cfg, usagef("--hash %q: want blake3 or sha256", f.hash)
	}
	return cfg, nil
}

// build makes a recipe, with progress on stderr, and names what had to be left out.
func (f *buildFlags) build(cmd *cobra.Command, cfg recipe.BuildConfig) (*recipe.File, error) {
	st, err := os.Stat(cfg.Path)
	if err == nil && !st.IsDir() && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is neither a directory nor a regular file", cfg.Path)
	}
	if err != nil {
		return nil, withCode(exitSelection, err)
	}
	bar := newLine(cmd.ErrOrStderr(), f.quiet)
	cfg.Progress = func(p recipe.Progress) {
		bar.show("describing %s: %d files, %s", cfg.Path, p.Files, formatSize(int64(p.Bytes)))
	}
	file, stats, err := recipe.Build(cmd.Context(), cfg)
	bar.clear()
	if err != nil {
		return nil, err
	}
	for _, err := range stats.Errors {
		say(cmd.ErrOrStderr(), "left out: %v", err)
	}
	if n := stats.SkippedSockets + stats.SkippedSpecial; n > 0 && !f.quiet {
		say(cmd.ErrOrStderr(), "%s: %d sockets, devices and fifos are not part of the recipe", cfg.Path, n)
	}
	if stats.Failed > 0 && !f.skip {
		file.Close()
		return nil, withCode(exitPartial, fmt.Errorf("%s: %d entries could not be read (--skip-unreadable leaves them out)", cfg.Path, stats.Failed))
	}
	return file, nil
}

func newRecipeCmd() *cobra.Command {
	var flags buildFlags
	var out, reuse, sign string
	cmd := &cobra.Command{
		Use:   "recipe PATH",
		Short: "Describe a file or tree in a .dfr file",
		Long: `recipe reads a file or tree and writes its recipe: names, metadata, and the ids of the chunks
that its content is cut into. It prints the recipe's address. Equal trees have equal addresses.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := flags.config(args[0])
			if err != nil {
				return err
			}
			if cfg.Out = out; out == "" {
				cfg.Out = filepath.Base(filepath.Clean(args[0])) + ".dfr"
			}
			return makeRecipe(cmd, &flags, cfg, reuse, sign)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "the FILE to write (default: the last part of PATH, with .dfr)")
	cmd.Flags().StringVar(&reuse, "reuse", "", "an older recipe of PATH, a .dfr FILE: files with the same size and time are not read again")
	cmd.Flags().StringVar(&sign, "sign", "", "sign with the key in FILE (see dfetch key)")
	nameValues(cmd.Flags(), "FILE", "output", "reuse", "sign")
	return cmd
}

func makeRecipe(cmd *cobra.Command, flags *buildFlags, cfg recipe.BuildConfig, reuse, sign string) error {
	if reuse != "" {
		old, err := recipe.OpenFile(reuse)
		if err != nil {
			return err
		}
		defer old.Close()
		cfg.Reuse = old
	}
	file, err := flags.build(cmd, cfg)
	if err != nil {
		return err
	}
	defer file.Close()
	if sign != "" {
		if err := signRecipe(cmd, file, cfg.Out, sign); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), recipe.Address{Hash: file.Root().Hash, ID: file.ID()})
	return err
}

// signRecipe writes the file anew with a signature among its attachments.
func signRecipe(cmd *cobra.Command, file *recipe.File, path, keyFile string) error {
	key, err := loadSigningKey(keyFile)
	if err != nil {
		return err
	}
	sig, err := recipe.Sign(key, file.ID(), file.Attachments()...).Attachment()
	if err != nil {
		return err
	}
	return recipe.WriteFile(cmd.Context(), path, file.Root(), file, append(file.Attachments(), sig))
}

// cachedRecipe is where serve keeps the recipe of a path, so that the next start reads only what changed.
func cachedRecipe(path string, cfg recipe.BuildConfig) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	cache, err := places{}.cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "recipes")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", abs, cfg.Mask, cfg.Hash))
	return filepath.Join(dir, hex.EncodeToString(sum[:12])+".dfr"), nil
}

// servedRecipe makes the recipe of a path that is to be served, out of the last one where it can.
func (f *buildFlags) servedRecipe(cmd *cobra.Command, path string) (*recipe.File, string, error) {
	cfg, err := f.config(path)
	if err != nil {
		return nil, "", err
	}
	if cfg.Out, err = cachedRecipe(path, cfg); err != nil {
		return nil, "", err
	}
	old, err := recipe.OpenFile(cfg.Out)
	switch {
	case err == nil:
		defer old.Close()
		cfg.Reuse = old
	case !errors.Is(err, fs.ErrNotExist):
		say(cmd.ErrOrStderr(), "the last recipe of %s can't be used: %v", path, err)
	}
	file, err := f.build(cmd, cfg)
	return file, cfg.Out, err
}

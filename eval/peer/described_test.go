package peer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfetch/eval/dataset"
	"dfetch/eval/scenarios"
	"dfetch/recipe"
)

// describedSet is a set of its own for each test, with a folder and a symlink more in a tree.
func describedSet(t *testing.T, kind, size string) dataset.Set {
	t.Helper()
	n, err := scenarios.ParseSize(size)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&dataset.Store{Dir: t.TempDir()}).Source(t.Context(), kind, n)
	if err != nil {
		t.Fatal(err)
	}
	if set.Tree() {
		err = errors.Join(os.Symlink("d000", filepath.Join(set.Dir, "link")), os.Mkdir(filepath.Join(set.Dir, "folder"), 0o755),
			os.WriteFile(filepath.Join(set.Dir, "small"), []byte("few"), 0o644))
		if err != nil {
			t.Fatal(err)
		}
	}
	return set
}

func makeRecipe(t *testing.T, set dataset.Set) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "set.dfr")
	f, _, err := recipe.Build(t.Context(), recipe.BuildConfig{Path: set.Path(), Out: file})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return file
}

func TestRightRecipesDescribe(t *testing.T) {
	for _, tt := range []struct{ kind, size string }{{"file", "3MB"}, {"tree", "120x20KB"}, {"sparse", "40MB"}, {"file", "20B"}} {
		set := describedSet(t, tt.kind, tt.size)
		if err := describes(t.Context(), makeRecipe(t, set), set); err != nil {
			t.Errorf("%s of %s: %v", tt.kind, tt.size, err)
		}
	}
}

// A recipe that is of something else in any one thing is wrong: here the set is changed after the recipe was made,
// with the times set back.
func TestWrongRecipesDont(t *testing.T) {
	flip := func(at int64) func(string) error {
		return func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			b := make([]byte, 1)
			_, readErr := f.ReadAt(b, at)
			b[0] ^= 1
			_, writeErr := f.WriteAt(b, at)
			return errors.Join(readErr, writeErr, f.Close())
		}
	}
	for _, tt := range []struct {
		kind, size, path, want string
		harm                   func(path string) error
	}{
		{"file", "3MB", "release-2.bin", "has another hash", flip(2_900_000)},
		{"file", "3MB", "release-2.bin", "bytes, not", func(p string) error { return os.Truncate(p, 2_999_999) }},
		{"sparse", "40MB", "release-2.bin", "holds data", flip(300_000)},
		{"file", "20B", "release-2.bin", "other content", flip(3)},
		{"tree", "120x20KB", "d000/f07", "has another hash", flip(5)},
		{"tree", "120x20KB", "d000/f07", "no such file", os.Remove},
		{"tree", "120x20KB", "d000/f07", "permissions", func(p string) error { return os.Chmod(p, 0o600) }},
		{"tree", "120x20KB", "d000/f07", "another time", func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1, 0)) }},
		{"tree", "120x20KB", "link", "points to", func(p string) error { return errors.Join(os.Remove(p), os.Symlink("d001", p)) }},
		{"tree", "120x20KB", "folder", "another type", func(p string) error { return errors.Join(os.Remove(p), os.WriteFile(p, nil, 0o755)) }},
		{"tree", "120x20KB", "folder/more", "the recipe lacks", func(p string) error { return os.WriteFile(p, nil, 0o644) }},
	} {
		set := describedSet(t, tt.kind, tt.size)
		file, path := makeRecipe(t, set), filepath.Join(set.Dir, tt.path)
		if err := harmKeepingTimes(path, tt.want == "another time", tt.harm); err != nil {
			t.Fatal(err)
		}
		if err := describes(t.Context(), file, set); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s of a %s: %v, want %q", tt.path, tt.kind, err, tt.want)
		}
	}
}

// harmKeepingTimes changes something and sets its and its folder's times back.
func harmKeepingTimes(path string, timeToo bool, harm func(string) error) error {
	times := map[string]time.Time{}
	for _, p := range []string{path, filepath.Dir(path)} {
		if info, err := os.Lstat(p); err == nil && info.Mode().Type() != os.ModeSymlink {
			times[p] = info.ModTime()
		}
	}
	if err := harm(path); err != nil {
		return err
	}
	for p, mtime := range times {
		if _, err := os.Lstat(p); err != nil || timeToo && p == path {
			continue
		}
		if err := os.Chtimes(p, time.Time{}, mtime); err != nil {
			return err
		}
	}
	return nil
}

// TestRecipeIsJudged: dfetch-recipe holds the recipe against the set, not only against its form.
func TestRecipeIsJudged(t *testing.T) {
	set, other := describedSet(t, "file", "100KB"), describedSet(t, "file", "200KB")
	dir := t.TempDir()
	s := recipeSession{job: Job{Set: set, Scratch: dir, Dfetch: fakeDfetch(t)}}
	for of, right := range map[*dataset.Set]bool{&set: true, &other: false} {
		text, err := os.ReadFile(makeRecipe(t, *of))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.file(), text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.Judge(0); (err == nil) != right {
			t.Errorf("right %v: %v", right, err)
		}
	}
}

// fakeDfetch is a program that is content with everything.
func fakeDfetch(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dfetch")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

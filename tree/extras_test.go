package tree

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dfetch/recipe"
)

// TestExtrasAreWhatDeleteRemoves: the plan of the deletes and the deletes are the same.
func TestExtrasAreWhatDeleteRemoves(t *testing.T) {
	w := world{dir("d", 0o755), file("d/kept", "x", 0o644), dir("e", 0o755), file("f", "x", 0o644)}
	cfg := w.config(t.TempDir())
	put(t, cfg.Dest, "d/kept", "d/extra", "d/sub/a", "d/sub/b", "d/link -> /", "e/deep/er/x", "g", "h/mine.txt", "h/other", ".dfetch-not/x")
	cfg.Delete = true
	cfg.Protect = func(path string, _ bool) bool { return strings.HasSuffix(path, ".txt") }
	var planned, deleted []string
	walk := func(fn func(recipe.Item) error) error { return w.walk(context.Background(), fn) }
	if err := Extras(cfg.Dest, walk, cfg.Protect, func(path string) { planned = append(planned, path) }); err != nil {
		t.Fatal(err)
	}
	cfg.Log = func(n Note) {
		if n.Text == "deleted" {
			deleted = append(deleted, n.Path)
		}
	}
	r := w.mustGet(t, cfg)
	slices.Sort(planned)
	slices.Sort(deleted)
	if !slices.Equal(planned, deleted) || uint64(len(planned)) != r.Deleted || len(planned) == 0 {
		t.Errorf("planned %q, deleted %q (%d)", planned, deleted, r.Deleted)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dest, "h/mine.txt")); err != nil {
		t.Error(err)
	}
	none := func(string) { t.Error("a destination that does not exist has something to delete") }
	if err := Extras(filepath.Join(cfg.Dest, "nowhere"), walk, nil, none); err != nil {
		t.Error(err)
	}
}

package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dfetch/recipe"
)

// TestStagingRemoved: when another process removes the staging directory, or what is in it, the run ends with
// one error that names it, and the next run brings all.
func TestStagingRemoved(t *testing.T) {
	big := strings.Repeat("x", 3000)
	w := world{file("a", big, 0o644), file("b", big, 0o644), file("c", "small", 0o644), symlink("d", "a")}
	for name, remove := range map[string]func(string) error{
		"the directory": os.RemoveAll,
		"files in it": func(dir string) error {
			names, err := filepath.Glob(filepath.Join(dir, "*", "[0-9a-f]"))
			for _, n := range names {
				err = errors.Join(err, os.Remove(n))
			}
			return err
		},
	} {
		for _, mode := range []Fsync{FsyncEnd, FsyncNone} {
			t.Run(name, func(t *testing.T) {
				cfg := w.config(t.TempDir())
				cfg.Fsync = mode
				tr := mustOpen(t, cfg)
				if err := fillWithLoss(tr, w, func() error { return remove(filepath.Join(cfg.Dest, DirName)) }); err == nil {
					_, err = tr.Finish(context.Background())
					wantLoss(t, err, cfg.Dest)
				} else {
					wantLoss(t, err, cfg.Dest)
					_ = tr.Abort() // the error is known
				}
				w.mustGet(t, cfg)
				w.check(t, cfg.Dest)
			})
		}
	}
}

func wantLoss(t *testing.T, err error, dest string) {
	t.Helper()
	if !errors.Is(err, ErrStaging) || !strings.Contains(err.Error(), filepath.Join(dest, DirName)) || errors.Is(err, ErrPartial) {
		t.Errorf("got %v", err)
	}
}

// fillWithLoss fills a tree; in the middle of the first file, loss happens.
func fillWithLoss(tr *Tree, w world, loss func() error) error {
	return w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if err != nil || f == nil {
			return err
		}
		data := w[it.Number-1].data
		if it.Number == 1 {
			if err := errors.Join(f.Write(0, []byte(data[:100])), loss()); err != nil {
				return err
			}
			return f.Write(100, []byte(data[100:]))
		}
		return f.Write(0, []byte(data))
	})
}

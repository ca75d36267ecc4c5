package tree

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dfetch/recipe"
)

// smallWorld is n files of size bytes, a hundred to a directory.
func smallWorld(n, size int) world {
	data := strings.Repeat("x", size)
	var w world
	for i := range n {
		d := fmt.Sprintf("d%04d", i/100)
		if i%100 == 0 {
			w = append(w, dir(d, 0o755))
		}
		w = append(w, file(fmt.Sprintf("%s/f%02d", d, i%100), data, 0o644))
	}
	return w
}

// fillParallel plans on one goroutine and writes whole files on two.
func (w world) fillParallel(t *Tree) error {
	jobs := make(chan func() error, 64)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range 2 {
		wg.Go(func() {
			for job := range jobs {
				if err := job(); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	err := w.walk(context.Background(), func(it recipe.Item) error {
		f, err := t.Plan(it)
		if f != nil {
			data := []byte(w[it.Number-1].data)
			jobs <- func() error { return f.Write(0, data) }
		}
		return err
	})
	close(jobs)
	wg.Wait()
	return firstError(err, first)
}

func benchWorld(b *testing.B, w world, mode Fsync) {
	for i := range b.N {
		cfg := w.config(filepath.Join(b.TempDir(), fmt.Sprint(i)))
		cfg.Fsync = mode
		tr, err := Open(context.Background(), cfg)
		if err == nil {
			err = w.fillParallel(tr)
		}
		if err == nil {
			_, err = tr.Finish(context.Background())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSmallFiles makes 5 000 files of 20 KB. "plain" is the shortest program that does it, on two
// goroutines as well.
func BenchmarkSmallFiles(b *testing.B) {
	w := smallWorld(5000, 20<<10)
	b.Run("plain", func(b *testing.B) {
		for i := range b.N {
			if err := plainWrite(w, filepath.Join(b.TempDir(), fmt.Sprint(i))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("none", func(b *testing.B) { benchWorld(b, w, FsyncNone) })
	b.Run("end", func(b *testing.B) { benchWorld(b, w, FsyncEnd) })
}

func plainWrite(w world, dest string) error {
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	for k := range 2 {
		wg.Go(func() {
			for i, it := range w {
				p := filepath.Join(dest, it.path)
				if it.entry.Type == recipe.TypeDir {
					os.MkdirAll(p, 0o755)
				}
				if it.entry.Type == recipe.TypeFile && i%2 == k {
					if err := plainFile(p, it); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func plainFile(p string, it item) error {
	when := time.Unix(0, it.entry.MTime)
	return firstError(firstError(os.WriteFile(p+".tmp", []byte(it.data), 0o600), os.Chmod(p+".tmp", os.FileMode(it.entry.Mode))),
		firstError(os.Chtimes(p+".tmp", when, when), os.Rename(p+".tmp", p)))
}

// BenchmarkUnchanged is a second run over 20 000 files that are right.
func BenchmarkUnchanged(b *testing.B) {
	w := smallWorld(20000, 10)
	for i := range w {
		if w[i].entry.Type == recipe.TypeFile {
			w[i].entry.Inline = []byte(w[i].data)
		}
	}
	dest := b.TempDir()
	for i := range b.N + 1 {
		if i == 1 {
			b.ResetTimer()
		}
		tr, err := Open(context.Background(), w.config(dest))
		if err == nil {
			err = w.fillParallel(tr)
		}
		if err == nil {
			_, err = tr.Finish(context.Background())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

package diskscan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

func TestMain(m *testing.M) {
	unix.Umask(0o022)
	goleak.VerifyTestMain(m)
}

// write makes a file with its directories, readable by the world.
func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// noise is n bytes that depend on the seed.
func noise(seed string, n int) []byte {
	r := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	data := make([]byte, n)
	_, _ = r.Read(data)
	return data
}

// open makes a Disk over a scope; both end with the test.
func open(t testing.TB, scope ScopeConfig, cfg Config) *Disk {
	t.Helper()
	cfg.Scope = OpenScope(t.Context(), scope)
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		cfg.Scope.Close()
	})
	return d
}

// listAll lists all directories of a scope, depth first, and returns its files.
func listAll(t testing.TB, d *Disk) []File {
	t.Helper()
	var files []File
	todo := d.scope.Starts()
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for from := int64(0); ; {
			res, err := d.Stat(t.Context(), dir, from)
			if err != nil {
				break
			}
			for _, fi := range res.Files {
				files = append(files, res.File(fi))
			}
			todo = append(todo, res.Dirs...)
			if from = res.Next; from == 0 {
				break
			}
		}
	}
	return files
}

// paths are the sorted absolute paths of files, below a directory.
func paths(d *Disk, files []File, below string) []string {
	var names []string
	for _, f := range files {
		rel, _ := filepath.Rel(below, d.scope.FilePath(f))
		names = append(names, rel)
	}
	slices.Sort(names)
	return names
}

// collector is a sink that keeps what it gets.
type collector struct {
	mu     sync.Mutex
	chunks []Chunk
	data   map[recipe.ID][]byte
}

func (c *collector) take(f *Found) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.data == nil {
		c.data = map[recipe.ID][]byte{}
	}
	rest := f.Data
	for _, ch := range f.Chunks {
		c.chunks = append(c.chunks, ch)
		c.data[ch.ID] = bytes.Clone(rest[:ch.Len])
		rest = rest[ch.Len:]
	}
	if len(rest) != 0 {
		panic(fmt.Sprintf("%d bytes belong to no chunk", len(rest)))
	}
	f.Release()
}

func anything(Chunk) bool { return true }

// hashAll hashes a file to its end.
func hashAll(t testing.TB, d *Disk, f File, want Want, sink Sink) (results []HashResult) {
	t.Helper()
	var at HashState
	for {
		res, err := d.Hash(t.Context(), f, at, want, sink)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
		if res.Done {
			return results
		}
		at = res.Next
	}
}

// refsOf are the chunks that a recipe's builder would find in data.
func refsOf(t testing.TB, data []byte) (chunks []Chunk) {
	t.Helper()
	off := int64(0)
	cfg := recipe.CutConfig{Source: bytes.NewReader(data), Size: int64(len(data)), Profile: recipe.Rabin16, Hash: recipe.BLAKE3}
	err := recipe.Cut(context.Background(), cfg, func(r recipe.Ref) error {
		if !r.Hole {
			chunks = append(chunks, Chunk{ID: r.ID, Offset: off, Len: int(r.Bytes)})
		}
		off += r.Bytes
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return chunks
}

package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// Set is a source.
type Set struct {
	// Dir is the folder that is served: it holds the file, or is the tree.
	Dir string
	// Name is of the file in Dir; empty for a tree.
	Name  string
	Bytes int64
	Files int64
	kind  string
	store *Store
	// key names the set in the store.
	key string
}

// Path is the file or the tree itself.
func (s Set) Path() string { return filepath.Join(s.Dir, s.Name) }

// Tree tells whether the source is a tree.
func (s Set) Tree() bool { return s.Name == "" }

// Store keeps sets in a folder. Its methods may be called at the same time.
type Store struct {
	// Dir is made when it is needed. What is in it may be removed at any time
	// at which nothing uses it.
	Dir string
	mu  sync.Mutex
}

// sourceTime is every source file's time, oldTime that of older versions.
var (
	sourceTime = time.Date(2025, 6, 15, 12, 0, 0, 0, time.UTC)
	oldTime    = time.Date(2023, 11, 14, 12, 0, 0, 0, time.UTC)
)

// Source returns the set of a kind and size, and makes it if it is not there. It
// fails with result.Missing for a pair that can't be had here.
func (s *Store) Source(ctx context.Context, kind string, size scenarios.Size) (Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	make, name, err := maker(kind, size)
	if err != nil {
		return Set{}, err
	}
	set := Set{kind: kind, store: s, Name: name, key: keyOf(keptAs(kind) + "-" + size.String())}
	dir, err := s.keep(set.key, func(dir string) error { return make(ctx, s, dir) })
	if err != nil {
		return Set{}, err
	}
	set.Dir = filepath.Join(dir, "src")
	return set, set.measure(dir)
}

// fileName is the name of a set that is one file.
const fileName = "release-2.bin"

// maker returns what makes a set's folder.
func maker(kind string, size scenarios.Size) (make func(ctx context.Context, s *Store, dir string) error, name string, err error) {
	family, what, _ := strings.Cut(kind, ":")
	single := func(write func(path string, size int64) error) func(context.Context, *Store, string) error {
		return func(_ context.Context, _ *Store, dir string) error {
			return singleFile(filepath.Join(dir, "src", fileName), size.Bytes, write)
		}
	}
	switch {
	case kind == "file" && size.Count == 0:
		return single(writeRandom), fileName, nil
	case kind == "sparse" && size.Count == 0:
		return single(writeSparse), fileName, nil
	case kind == "tree" && size.Count > 0:
		return func(_ context.Context, _ *Store, dir string) error {
			return writeTree(filepath.Join(dir, "src"), size)
		}, "", nil
	case pairs[family] != nil && what != "":
		return func(ctx context.Context, _ *Store, dir string) error { return makePair(ctx, family, what, dir) }, "", nil
	}
	return nil, "", fmt.Errorf("dataset: no data of kind %q with size %q", kind, size)
}

// Keep returns a folder of the caller's, kept under that key and made by make if it is not there.
func (s *Store) Keep(key string, make func(dir string) error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep(key, make)
}

// keep returns the folder of that key, made by make if it is not there. A make
// that fails or is killed leaves nothing that counts as made.
func (s *Store) keep(key string, make func(dir string) error) (string, error) {
	dir := filepath.Join(s.Dir, key)
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o777)); err != nil {
		return "", err
	}
	if err := make(part); err != nil {
		return "", errors.Join(fmt.Errorf("dataset: making %s: %w", key, err), os.RemoveAll(part))
	}
	return dir, os.Rename(part, dir)
}

// measured is the file that keeps a set's counts.
const measured = "measured.json"

// measure counts the set's files and bytes, once.
func (s *Set) measure(dir string) error {
	counts := struct{ Files, Bytes int64 }{}
	name := filepath.Join(dir, measured)
	if text, err := os.ReadFile(name); err == nil {
		if json.Unmarshal(text, &counts) == nil {
			s.Files, s.Bytes = counts.Files, counts.Bytes
			return nil
		}
		counts.Files, counts.Bytes = 0, 0 // a crash cut it short
	}
	err := filepath.WalkDir(s.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			counts.Files++
			counts.Bytes += info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	s.Files, s.Bytes = counts.Files, counts.Bytes
	text, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o666)
}

// keptAs is a kind with the versions that are pinned for it, so that what was made of others is not taken for it.
func keptAs(kind string) string {
	if name, ok := strings.CutPrefix(kind, "deb:"); ok {
		return "deb:" + pinned(name)
	}
	return kind
}

// keyOf makes a name of a folder out of a kind and a size.
func keyOf(name string) string {
	return strings.NewReplacer("/", "_", ":", "-", "@", "-").Replace(name)
}

// unknown is the error for a state that the set can't be put into.
func (s Set) unknown(state string) error {
	return result.Missingf("data %s has no state %s", s.kind, state)
}

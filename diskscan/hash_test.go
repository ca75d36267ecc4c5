package diskscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// fileAt names a file of the scope's first root.
func fileAt(path string) File {
	dir, name := filepath.Split(path)
	return File{Dir: Dir{Path: filepath.Clean("/" + dir)[1:]}, Name: name}
}

// Slices of any size give the chunks of the builder, holes included, with the file's bytes.
func TestHashCutsAsTheBuilder(t *testing.T) {
	dir := t.TempDir()
	data := slices.Concat(noise("a", 300_000), make([]byte, 200_000), noise("b", 5_000_000), make([]byte, 3<<20), noise("c", 70_001))
	write(t, filepath.Join(dir, "f"), data)
	want := refsOf(t, data)
	for _, slice := range []int64{64 << 10, 1 << 20, 8 << 20} {
		d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Slice: slice})
		var c collector
		results := hashAll(t, d, fileAt("f"), anything, c.take)
		if !slices.Equal(c.chunks, want) {
			t.Errorf("slice %d: %d chunks, want %d", slice, len(c.chunks), len(want))
		}
		checkBytes(t, &c, data)
		sum := int64(0)
		for _, r := range results {
			sum += r.Bytes
			if r.Bytes > slice+64<<10 {
				t.Errorf("slice %d: read %d bytes at once", slice, r.Bytes)
			}
		}
		if sum != int64(len(data)) || d.Stats().HashBytes != sum || d.Stats().Hash != int64(len(results)) {
			t.Errorf("slice %d: %d bytes, stats %+v", slice, sum, d.Stats())
		}
	}
}

// checkBytes compares what was handed over with where it says that it lay.
func checkBytes(t *testing.T, c *collector, data []byte) {
	t.Helper()
	for _, ch := range c.chunks {
		if !bytes.Equal(c.data[ch.ID], data[ch.Offset:ch.Offset+int64(ch.Len)]) {
			t.Errorf("wrong bytes at %d", ch.Offset)
		}
	}
}

// However many processors cut a slice, and whatever is expected of it, they find the elements that one finds.
func TestHashOnManyProcessors(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		dir := t.TempDir()
		data := patchwork(r, 10<<20)
		write(t, filepath.Join(dir, "f"), data)
		edited := slices.Clone(data)
		for range 20 {
			copy(edited[r.IntN(len(edited)-5000):], noise(fmt.Sprint(r.Uint64()), 5000))
		}
		all := refsOf(t, data)
		cfg := Config{Slice: []int64{3 << 20, 8 << 20, 16 << 20}[round], Processors: 1}
		want := sumOf(hashAll(t, open(t, ScopeConfig{Roots: []string{dir}}, cfg), fileAt("f"), anything, new(collector).take))
		for name, follows := range map[string]recipe.Follows{"nothing": nil, "itself": followers(all), "another version": followers(refsOf(t, edited))} {
			for _, n := range []int{1, 2, 7} {
				cfg.Processors, cfg.Follows = n, follows
				d := open(t, ScopeConfig{Roots: []string{dir}}, cfg)
				var c collector
				got := sumOf(hashAll(t, d, fileAt("f"), anything, c.take))
				if got != want {
					t.Errorf("round %d on %d processors, expecting %s: chunks, bytes and holes %v, want %v", round, n, name, got, want)
				}
				if !slices.Equal(c.chunks, all) {
					t.Errorf("round %d on %d processors, expecting %s: other chunks than the builder's", round, n, name)
				}
				checkBytes(t, &c, data)
			}
		}
	}
}

// followers expects of a file what the chunks of another are.
func followers(chunks []Chunk) recipe.Follows {
	next := map[recipe.ID]recipe.Expected{}
	adjoin := func(i int) bool {
		return i < len(chunks) && chunks[i-1].Offset+int64(chunks[i-1].Len) == chunks[i].Offset
	}
	for i := 1; i < len(chunks); i++ {
		if adjoin(i) {
			next[chunks[i-1].ID] = recipe.Expected{ID: chunks[i].ID, Len: uint32(chunks[i].Len), Last: !adjoin(i + 1)}
		}
	}
	return func(id recipe.ID) (recipe.Expected, bool) {
		x, ok := next[id]
		return x, ok
	}
}

// sumOf adds up slices: chunks, bytes, and bytes of holes. Where a slice ends may depend on the time that it took.
func sumOf(slices []HashResult) (sum [3]int64) {
	for _, r := range slices {
		sum[0], sum[1], sum[2] = sum[0]+int64(r.Chunks), sum[1]+r.Bytes, sum[2]+r.Holes
	}
	return sum
}

// patchwork is data with stretches of noise, of zeros, and of one byte, which has no cuts but by length.
func patchwork(r *rand.Rand, size int) []byte {
	var data []byte
	for i := 0; len(data) < size; i++ {
		n := 1 + r.IntN(3<<20)
		switch r.IntN(4) {
		case 0:
			data = append(data, make([]byte, n)...)
		case 1:
			data = append(data, bytes.Repeat([]byte{7}, n)...)
		default:
			data = append(data, noise(fmt.Sprint(r.Uint64(), i), n)...)
		}
	}
	return data[:size]
}

func TestHashGivesWhatIsWanted(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 3_000_000)
	write(t, filepath.Join(dir, "f"), data)
	all := refsOf(t, data)
	target := all[len(all)/2]
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	var c collector
	res := hashAll(t, d, fileAt("f"), func(c Chunk) bool { return c.ID == target.ID }, c.take)
	if !slices.Equal(c.chunks, []Chunk{target}) {
		t.Errorf("got %v, want %v", c.chunks, target)
	}
	var sum HashResult
	for _, r := range res {
		sum.Chunks, sum.Found, sum.FoundBytes = sum.Chunks+r.Chunks, sum.Found+r.Found, sum.FoundBytes+r.FoundBytes
	}
	if sum.Chunks != len(all) || sum.Found != 1 || sum.FoundBytes != int64(target.Len) {
		t.Errorf("results %+v", res)
	}
}

// A sparse file is not read where it has holes.
func TestHashSkipsHoles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, noise("x", 100_000))
	if err := os.Truncate(path, 1<<36); err != nil {
		t.Skip("the file system has no large files")
	}
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Slice: 1 << 35})
	var c collector
	hashAll(t, d, fileAt("f"), anything, c.take)
	if len(c.chunks) == 0 {
		t.Error("nothing found")
	}
}

// changing is a sink that changes the file at the first call.
func changing(t *testing.T, c *collector, change func() error) Sink {
	done := false
	return func(f *Found) {
		if !done {
			done = true
			if err := change(); err != nil {
				t.Error(err)
			}
		}
		c.take(f)
	}
}

// Files that change under the reader are counted, and never yield bytes that are not their chunk's.
func TestHashOfChangingFiles(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"shrinks":  func(p string) error { return os.Truncate(p, 2<<20) },
		"vanishes": os.Remove,
		"grows": func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(make([]byte, 1000))
			return err
		},
		"is rewritten": func(p string) error { return os.WriteFile(p, noise("other", 12<<20), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			write(t, path, noise("x", 12<<20))
			d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Slice: 4 << 20})
			var c collector
			var at HashState
			changed := false
			sink := changing(t, &c, func() error { return change(path) })
			for {
				res, err := d.Hash(t.Context(), fileAt("f"), at, anything, sink)
				changed = changed || res.Changed
				if res.Done {
					if err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Error(err)
					}
					break
				}
				at = res.Next
			}
			for id, data := range c.data {
				if recipe.BLAKE3.Chunk(data) != id {
					t.Fatal("bytes of another chunk")
				}
			}
			if !changed {
				t.Error("the change went unnoticed")
			}
			if d.Stats().Changed == 0 {
				t.Error("the change was not counted")
			}
		})
	}
}

func TestHashRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "real"), []byte("x"))
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	for name, want := range map[string]error{
		"fifo": ErrNotRegular, "dir": ErrNotRegular, "link": unix.ELOOP, "absent": unix.ENOENT, "../x": ErrOutside, "": ErrNotRegular,
	} {
		res, err := d.Hash(t.Context(), File{Name: name}, HashState{}, anything, nil)
		if !errors.Is(err, want) || !res.Done {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if n := d.Stats().Errors; n != 5 {
		t.Errorf("%d errors counted, want 5", n)
	}
}

// Nobody waits longer than the context, and nothing is told afterwards.
func TestHashIsAbandoned(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), noise("x", 1<<20))
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Buffers: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	var held []*Found
	sink := func(f *Found) {
		held = append(held, f) // never released in time: the buffers run out
		if len(held) == 1 {
			cancel(reason)
		}
	}
	if _, err := d.Hash(ctx, fileAt("f"), HashState{}, anything, sink); !errors.Is(err, reason) {
		t.Errorf("got %v, want the context's cause", err)
	}
	if len(held) != 1 {
		t.Errorf("told %d times, want once", len(held))
	}
}

func BenchmarkHash(b *testing.B) {
	dir := b.TempDir()
	const files, size = 4, 32 << 20
	for i := range files {
		write(b, filepath.Join(dir, string(rune('a'+i))), noise(string(rune('a'+i)), size))
	}
	d := open(b, ScopeConfig{Roots: []string{dir}}, Config{})
	list := listAll(b, d)
	b.SetBytes(files * size)
	for b.Loop() {
		done := make(chan bool)
		for w := range 2 {
			go func() {
				for _, f := range list[w*2 : w*2+2] {
					hashAll(b, d, f, func(Chunk) bool { return false }, nil)
				}
				done <- true
			}()
		}
		<-done
		<-done
	}
}

// TestKeptFileIsRemembered: a file whose metadata the sink has made right has not changed, and is the one that was
// opened, whatever was listed.
func TestKeptFileIsRemembered(t *testing.T) {
	for _, kept := range []bool{true, false} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a")
		write(t, path, noise("x", 100_000))
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		listed := fileAt("a")
		listed.Ino = st.Ino + 1 // another file had the name then
		d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Remember: 1000})
		var ids []recipe.ID
		r, err := d.Hash(context.Background(), listed, HashState{}, anything, func(f *Found) {
			if v := f.Version; v == nil || v.Ino != st.Ino || v.Dev != st.Dev || v.Size != 100_000 || v.CTime != ctimeOf(&st) || v.MTime != mtimeOf(&st) {
				t.Errorf("version %+v, want that of inode %d", v, st.Ino)
			}
			for _, c := range f.Chunks {
				ids = append(ids, c.ID)
			}
			f.Release()
			f.Kept = kept
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Error(err)
			}
		})
		if err != nil || len(ids) == 0 {
			t.Fatal(len(ids), err)
		}
		if r.Changed == kept || d.Remembers(ids[0]) != kept {
			t.Errorf("kept %v: changed %v, remembered %v", kept, r.Changed, d.Remembers(ids[0]))
		}
	}
}

package diskscan

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"dfetch/recipe"
)

// lent is a file that has a part of another one, moved; it shares nothing, but nobody can see that.
type lent struct {
	t     *testing.T
	path  string
	shift int64
	ended atomic.Int32
	by    collector
}

// share copies chunks from the first on, n of them.
func (l *lent) share(data []byte, chunks []Chunk, n int) Shared {
	l.t.Helper()
	from, to := chunks[0].Offset, chunks[n-1].Offset+int64(chunks[n-1].Len)
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		_, err = f.WriteAt(data[from:to], from+l.shift)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	end := func() { l.ended.Add(1); f.Close() }
	return Shared{Chunks: chunks[:n], FD: int(f.Fd()), Shift: l.shift, Sink: l.by.take, End: end}
}

// TestSharedChunksAreReadWhereTheyAreShared: their bytes are those of the other file, and what is wrong there is found by
// nobody, although it is right where it was.
func TestSharedChunksAreReadWhereTheyAreShared(t *testing.T) {
	for _, size := range []int{300_000, 6 << 20} { // one that is read at random, and a stream
		dir := t.TempDir()
		data := noise("x", size)
		path := filepath.Join(dir, "f")
		write(t, path, data)
		scope := ScopeConfig{Roots: []string{dir}}
		x := openIndex(t, IndexConfig{})
		fill(t, x, scope, Config{})
		d := open(t, scope, Config{Index: x, Processors: 4})
		want := refsOf(t, data)
		bad := want[7]
		other := bytes.Clone(data)
		other[bad.Offset]++
		l := &lent{t: t, path: filepath.Join(t.TempDir(), "g"), shift: 12_345}
		var rest collector
		s := check(t, d, idsOf(want))
		if len(s.Runs) != 1 {
			t.Fatalf("%d runs", len(s.Runs))
		}
		asked := 0
		res, err := d.ReadShared(t.Context(), s.Runs[0], anything, rest.take, func(fd int, chunks []Chunk, cold func() int64) []Shared {
			if asked++; len(chunks) != len(want) || cold() > int64(size)+8192 {
				t.Errorf("%d chunks, %d bytes are cold", len(chunks), cold())
			}
			return []Shared{l.share(other, chunks[2:], 8), l.share(other, chunks[12:], len(chunks)-13)}
		})
		if err != nil || asked != 1 || res.Stale != 1 || !res.Changed || res.Found != len(want)-1 || l.ended.Load() != 2 {
			t.Errorf("%v, asked %d times: %+v, %d ended", err, asked, res, l.ended.Load())
		}
		if res.Cold < res.Read/2 {
			t.Errorf("%d bytes of %d were cold", res.Cold, res.Read)
		}
		shared := slices.Concat(want[2:7], want[8:10], want[12:len(want)-1])
		if got := sorted(l.by.chunks); !slices.Equal(got, shared) {
			t.Errorf("%d chunks were read there, want %d", len(got), len(shared))
		}
		if got := sorted(rest.chunks); !slices.Equal(got, slices.Concat(want[:2], want[10:12], want[len(want)-1:])) {
			t.Errorf("%d chunks were read where they lay", len(got))
		}
		for id, data := range l.by.data {
			if recipe.BLAKE3.Chunk(data) != id {
				t.Fatal("bytes of another chunk")
			}
		}
	}
}

func sorted(chunks []Chunk) []Chunk {
	return slices.SortedFunc(slices.Values(chunks), func(a, b Chunk) int { return int(a.Offset - b.Offset) })
}

// TestSourceChangesWhenItIsShared: what is cloned is what counts, not what lay there before.
func TestSourceChangesWhenItIsShared(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 1<<20)
	path := filepath.Join(dir, "f")
	write(t, path, data)
	scope := ScopeConfig{Roots: []string{dir}}
	x := openIndex(t, IndexConfig{})
	fill(t, x, scope, Config{})
	d := open(t, scope, Config{Index: x})
	want := refsOf(t, data)
	l := &lent{t: t, path: filepath.Join(t.TempDir(), "g")}
	res, err := d.ReadShared(t.Context(), check(t, d, idsOf(want)).Runs[0], anything, nil, func(_ int, chunks []Chunk, _ func() int64) []Shared {
		write(t, path, noise("y", 1<<20)) // between the look at the file and the clone
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return []Shared{l.share(now, chunks, len(chunks))}
	})
	if err != nil || res.Found != 0 || res.Stale != len(want) || len(l.by.chunks) != 0 {
		t.Errorf("%v: %+v", err, res)
	}
}

// TestSharedEndsWhateverHappens: also if nobody waits any more.
func TestSharedEndsWhateverHappens(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 1<<20)
	write(t, filepath.Join(dir, "f"), data)
	scope := ScopeConfig{Roots: []string{dir}}
	x := openIndex(t, IndexConfig{})
	fill(t, x, scope, Config{})
	d := open(t, scope, Config{Index: x})
	want := refsOf(t, data)
	run := check(t, d, idsOf(want)).Runs[0]
	l := &lent{t: t, path: filepath.Join(t.TempDir(), "g")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var begun sync.WaitGroup
	begun.Add(1)
	res, err := d.ReadShared(ctx, run, anything, nil, func(_ int, chunks []Chunk, _ func() int64) []Shared {
		defer begun.Done()
		cancel()
		return []Shared{l.share(data, chunks, len(chunks))}
	})
	begun.Wait()
	d.running.Wait()
	if !errors.Is(err, context.Canceled) || res.Found != 0 || l.ended.Load() != 1 {
		t.Errorf("%v: %+v, %d ended", err, res, l.ended.Load())
	}
}

// TestPartsOfARun: all chunks are in one part each, in order.
func TestPartsOfARun(t *testing.T) {
	var r Run
	for i := range 10 {
		r.Chunks = append(r.Chunks, Chunk{ID: recipe.ID{byte(i)}, Offset: int64(100 * i), Len: 90})
	}
	r.Offset, r.Len, r.Bytes, r.id = 0, 990, 900, 7
	for _, tt := range []struct {
		shared [][2]int
		want   []int // chunks of each part, negative if it is shared
	}{
		{nil, []int{10}},
		{[][2]int{{0, 10}}, []int{-10}},
		{[][2]int{{2, 5}}, []int{2, -3, 5}},
		{[][2]int{{0, 3}, {3, 4}, {8, 10}}, []int{-3, -1, 4, -2}},
	} {
		var shared []Shared
		for _, s := range tt.shared {
			shared = append(shared, Shared{Chunks: r.Chunks[s[0]:s[1]]})
		}
		var got []int
		next := 0
		for _, p := range r.parts(shared) {
			n := len(p.run.Chunks)
			if n == 0 {
				continue
			}
			first, last := r.Chunks[next], r.Chunks[next+n-1]
			next += n
			if p.run.id != 7 || p.run.Offset != first.Offset || p.run.Len != last.Offset+90-first.Offset || p.run.Bytes != int64(90*n) || p.run.Chunks[0] != first {
				t.Errorf("%v: part %+v", tt.shared, p.run)
			}
			if p.shared != nil {
				n = -n
			}
			got = append(got, n)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: parts %v, want %v", tt.shared, got, tt.want)
		}
	}
}

package diskscan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dfetch/diskscan/lsm"
	"dfetch/recipe"
)

// What is damaged of an index is dropped, and no number that it may have known is given out again.
func TestDamagedIndex(t *testing.T) {
	for name, damage := range map[string]func(raw []byte) []byte{
		"cut":       func(raw []byte) []byte { return raw[:len(raw)/2] },
		"empty":     func([]byte) []byte { return nil },
		"another":   func([]byte) []byte { return noise("x", 5000) },
		"its end":   func(raw []byte) []byte { raw[len(raw)-20] ^= 1; return raw },
		"its block": func(raw []byte) []byte { raw[0] ^= 1; return raw },
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			x := openIndex(t, IndexConfig{Dir: home})
			x.submit(func(b *lsm.Batch) { x.lease(b, 7) })
			addRoot(t, x, "/a")
			x.Close()
			files, _ := filepath.Glob(filepath.Join(home, rowsDir, "*"))
			if len(files) != 1 {
				t.Fatalf("files %q", files)
			}
			raw, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			write(t, files[0], damage(raw))
			x = openIndex(t, IndexConfig{Dir: home})
			if x.Mode() != IndexShared || x.Note() == nil {
				t.Errorf("opened %s: %v", x.Mode(), x.Note())
			}
			wantRoots(t, x)
			if n := x.next.Load(); n < numbersLost {
				t.Errorf("goes on with number %d", n)
			}
		})
	}
}

// A directory that is no directory costs the index and nothing else.
func TestImpossibleIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, nil)
	x := openIndex(t, IndexConfig{Dir: path})
	if x.Mode() != IndexMemory || x.Note() == nil {
		t.Errorf("opened %s: %v", x.Mode(), x.Note())
	}
}

// Neither a write that failed nor a part that is lost brings numbers back.
func TestFileNumbersAreNotReusedAfterFailures(t *testing.T) {
	home := t.TempDir()
	x := openIndex(t, IndexConfig{Dir: home})
	x.next.Store(5001)
	note := func(id fileID) {
		x.submit(func(b *lsm.Batch) { x.writeFile(b, id, &fileRow{stamp: stamp{ino: uint64(id)}, path: "/f"}) })
	}
	note(5000)
	x.submit(func(b *lsm.Batch) { b.Set(make([]byte, lsm.MaxKey+1), nil) }) // fails
	note(5)
	if err := errors.Join(x.Sync(t.Context()), x.Close()); err != nil {
		t.Fatal(err)
	}
	x = openIndex(t, IndexConfig{Dir: home})
	if n := x.next.Load(); n <= 5000 {
		t.Errorf("goes on with number %d", n)
	}
	x.Close()
	write(t, filepath.Join(home, rowsDir, "00000000000000f0-00000000000000f0.rows"), nil)
	for range 2 {
		x = openIndex(t, IndexConfig{Dir: home})
		if n := x.next.Load(); n < numbersLost {
			t.Errorf("goes on with number %d", n)
		}
		x.Close()
	}
}

// A file of which something could not be noted does not count as noted.
func TestFileWithALostSlice(t *testing.T) {
	x := openIndex(t, IndexConfig{})
	at := HashState{stamp: stamp{ino: 1, size: 1 << 20}}
	at.indexed = x.add("/f", &at, madeUpChunks(3), false)
	x.failures.Add(1)
	at.Offset = 1 << 19
	x.add("/f", &at, madeUpChunks(3), true)
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x.holds("/f", at.stamp) {
		t.Error("it counts as noted")
	}
}

func TestFileNumbersAreNotReused(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	seen := map[fileID]bool{}
	for i := range 3 {
		write(t, filepath.Join(dir, "f"), noise(string(rune('a'+i)), 1000+i))
		x := openIndex(t, IndexConfig{Dir: home})
		fill(t, x, ScopeConfig{Roots: []string{dir}}, Config{})
		n := 0
		err := x.scan(t.Context(), []byte{rowFile}, func(key, _ []byte) error {
			n++
			if id := fileID(key[8]) | fileID(key[7])<<8; seen[id] {
				t.Errorf("number %d twice", id)
			} else {
				seen[id] = true
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%d versions, %v", n, err)
		}
		x.Close()
	}
}

func FuzzDecodeRows(f *testing.F) {
	row := fileRow{stamp: stamp{1, 2, 3, -4, 5}, done: true, path: "/a/b"}
	f.Add(row.encode())
	f.Add(place{file: 7, off: 1 << 40, len: 16384}.encode())
	f.Add(encodeSlice([]Chunk{{Offset: 10, Len: 5}, {Offset: 20, Len: 7}}, 3))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if row, ok := decodeFile(raw); ok {
			again, ok := decodeFile(row.encode())
			if !ok || again != row || row.stamp.size < 0 {
				t.Errorf("file row %+v became %+v", row, again)
			}
		}
		if p, ok := decodePlace(raw); ok {
			if again, ok := decodePlace(p.encode()); !ok || again != p || p.off < 0 || p.len <= 0 {
				t.Errorf("place %+v became %+v", p, again)
			}
		}
		var chunks []Chunk
		end := int64(3)
		if !decodeSlice(raw, 3, func(b brief) {
			c := Chunk{Offset: b.off, Len: b.len}
			copy(c.ID[:], b.id[:])
			if b.off < end || b.len <= 0 {
				t.Errorf("chunk at %d, %d bytes, after %d", b.off, b.len, end)
			}
			end = b.off + int64(b.len)
			chunks = append(chunks, c)
		}) {
			return
		}
		i := 0
		if !decodeSlice(encodeSlice(chunks, 3), 3, func(b brief) {
			if b.off != chunks[i].Offset || b.len != chunks[i].Len || !bytes.Equal(b.id[:], chunks[i].ID[:briefPrefix]) {
				t.Errorf("chunk %d became %+v", i, b)
			}
			i++
		}) || i != len(chunks) {
			t.Errorf("%d chunks became %d", len(chunks), i)
		}
	})
}

// What an index add wrote before its process ended at once is still there.
func TestIndexThatWasNotClosed(t *testing.T) {
	x := openIndex(t, IndexConfig{Dir: t.TempDir(), Wait: true})
	const rows = 5000
	for i := range rows {
		key := chunkKey(x.profile, recipe.BLAKE3.Chunk(binary.BigEndian.AppendUint32(nil, uint32(i))))
		x.submit(func(b *lsm.Batch) { b.Set(key, make([]byte, 1000)) })
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := t.TempDir() // what lies on the disk at this moment
	if err := os.CopyFS(filepath.Join(left, "index"), os.DirFS(x.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	y := OpenIndex(IndexConfig{Dir: filepath.Join(left, "index")})
	t.Cleanup(func() { y.Close() })
	stats, err := y.Stats(t.Context())
	if err != nil || y.Note() != nil || stats.Chunks != rows {
		t.Errorf("%d rows are left of %d: %v, %v", stats.Chunks, rows, y.Note(), err)
	}
}

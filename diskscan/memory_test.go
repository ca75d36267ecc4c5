package diskscan

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

func nothing(Chunk) bool { return false }

// remembering gives a disk that has hashed a file f of n bytes when nobody wanted it.
func remembering(t *testing.T, n int) (d *Disk, dir string, data []byte) {
	t.Helper()
	dir = t.TempDir()
	data = noise("a", n)
	write(t, filepath.Join(dir, "f"), data)
	d = open(t, ScopeConfig{Roots: []string{dir}}, Config{Remember: 10_000})
	hashAll(t, d, fileAt("f"), nothing, func(f *Found) { f.Release() })
	return d, dir, data
}

// What was hashed when nobody wanted it is found when somebody does, without a search.
func TestRecallFindsWhatWasHashed(t *testing.T) {
	d, _, data := remembering(t, 3_000_000)
	var c collector
	ids := idsOf(refsOf(t, data))
	if !d.Remembers(ids[0]) || d.Remembers(recipe.ID{1}) {
		t.Error("wrong chunks are remembered")
	}
	for _, r := range d.Recall(append(ids, recipe.ID{1})) {
		if _, err := d.Read(t.Context(), r, anything, c.take); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.chunks) != len(ids) {
		t.Fatalf("%d chunks of %d were found", len(c.chunks), len(ids))
	}
	for _, ch := range c.chunks {
		if !bytes.Equal(c.data[ch.ID], data[ch.Offset:ch.Offset+int64(ch.Len)]) {
			t.Errorf("wrong bytes at %d", ch.Offset)
		}
	}
}

// A file that has changed since gives nothing, and no error.
// A remembered file may be kept as one that was hashed just now: what is read is told with its version, and stays remembered
// with the metadata that the sink gave it.
func TestRecalledFileIsKept(t *testing.T) {
	for _, kept := range []bool{true, false} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		data := noise("x", 100_000)
		write(t, path, data)
		d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Remember: 1000})
		hashAll(t, d, listAll(t, d)[0], nothing, func(f *Found) { f.Release() })
		ids := idsOf(refsOf(t, data))
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		_, err := d.Read(t.Context(), d.Recall(ids)[0], nil, func(f *Found) {
			if v := f.Version; v == nil || v.Ino != st.Ino || v.CTime != ctimeOf(&st) || v.Size != 100_000 {
				t.Errorf("version %+v", v)
			}
			f.Release()
			f.Kept = kept
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		again, err := d.Read(t.Context(), d.Recall(ids)[0], nil, func(f *Found) { f.Release() })
		if err != nil || again.Changed == kept {
			t.Errorf("kept %v: the second time %+v, %v", kept, again, err)
		}
	}
}

// Of a file that is remembered in part nobody is told what it is.
func TestPartOfARecalledFile(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 100_000)
	write(t, filepath.Join(dir, "f"), data)
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Remember: 1000})
	hashAll(t, d, listAll(t, d)[0], nothing, func(f *Found) { f.Release() })
	for _, ids := range [][]recipe.ID{idsOf(refsOf(t, data))[1:], idsOf(refsOf(t, data))[:1]} {
		_, err := d.Read(t.Context(), d.Recall(ids)[0], nil, func(f *Found) {
			if f.Version != nil {
				t.Errorf("%d chunks are %+v", len(f.Chunks), f.Version)
			}
			f.Release()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecalledFileHasChanged(t *testing.T) {
	d, dir, data := remembering(t, 300_000)
	var c collector
	write(t, filepath.Join(dir, "f"), noise("b", 300_001))
	for _, r := range d.Recall(idsOf(refsOf(t, data))) {
		if res, err := d.Read(t.Context(), r, anything, c.take); err != nil || !res.Changed {
			t.Errorf("%+v, %v", res, err)
		}
	}
	if len(c.chunks) != 0 {
		t.Errorf("%d chunks were found", len(c.chunks))
	}
}

// Chunks that somebody begins to want while their slice is read are told at its end.
func TestLateWantsAreTold(t *testing.T) {
	dir := t.TempDir()
	data := noise("a", 100_000)
	write(t, filepath.Join(dir, "f"), data)
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Remember: 10_000})
	ids := idsOf(refsOf(t, data))
	late, passed := ids[0], false
	var c collector
	res, err := d.Hash(t.Context(), fileAt("f"), HashState{}, func(c Chunk) bool {
		wanted := passed && c.ID == late
		passed = passed || c.ID == ids[len(ids)-1]
		return wanted
	}, c.take)
	if err != nil || len(res.Late) != 1 || len(res.Late[0].Chunks) != 1 || res.Late[0].Chunks[0].ID != late {
		t.Errorf("late %+v, %v", res.Late, err)
	}
}

// The memory stays within its bound, and keeps what came last.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 1000
	m := newMemory(limit)
	id := func(i int) (id recipe.ID) {
		copy(id[:], fmt.Sprintf("%08d", i))
		return id
	}
	for i := range 20 * limit {
		m.add(File{Name: fmt.Sprint(i / 100)}, stamp{}, []Chunk{{ID: id(i), Offset: int64(i), Len: 1}})
		if n := len(m.young.chunks) + len(m.old.chunks); n > limit {
			t.Fatalf("%d chunks are remembered, %d are allowed", n, limit)
		}
	}
	last := m.recall([]recipe.ID{id(20*limit - 1), id(0)})
	if len(last) != 1 || len(last[0].chunks) != 1 || last[0].file.Name != fmt.Sprint((20*limit-1)/100) {
		t.Errorf("recalled %+v", last)
	}
}

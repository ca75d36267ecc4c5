package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

func sampleJournal(h header) []byte {
	b := appendHeader(nil, h)
	b = appendRecord(b, record{recFile, 1, 77, 1000})
	b = appendRecord(b, record{recExtent, 1, 0, 500})
	b = appendRecord(b, record{kind: recBarrier, a: uint64(len(b))})
	b = appendRecord(b, record{recExtent, 1, 700, 100})
	return appendRecord(b, record{recWhole, 2, 78, 20})
}

func TestJournalSays(t *testing.T) {
	h := header{recipe: recipe.ID{1}, boot: [16]byte{2}, mount: 3}
	raw := sampleJournal(h)
	same, err := loadJournal(bytes.NewReader(raw), h)
	if err != nil || len(same) != 2 || same[1].ino != 77 || same[1].believed().bytes() != 600 || same[2].believed().bytes() != 20 {
		t.Errorf("same boot: %v %v", same, err)
	}
	for name, other := range map[string]header{
		"boot":  {h.recipe, [16]byte{9}, h.mount},
		"mount": {h.recipe, h.boot, 9},
	} {
		got, err := loadJournal(bytes.NewReader(raw), other)
		if err != nil || len(got) != 1 || got[1].believed().bytes() != 500 {
			t.Errorf("another %s: %v %v", name, got, err)
		}
	}
	if _, err := loadJournal(bytes.NewReader(raw), header{recipe: recipe.ID{9}}); err == nil {
		t.Error("another recipe's journal is believed")
	}
}

// What is durable ends where a barrier says, even if another one comes between; one that names what is behind it says nothing.
func TestJournalBarriers(t *testing.T) {
	h := header{recipe: recipe.ID{1}, boot: [16]byte{2}, mount: 3}
	other := header{h.recipe, [16]byte{9}, h.mount}
	at := func(n int) uint64 { return headerSize + uint64(n)*recordSize } // where record n begins
	for name, c := range map[string]struct {
		barrier uint64
		durable int64
	}{
		"none":                {0, 0},
		"before both":         {at(1), 0},
		"between":             {at(2), 10},
		"in the midst of one": {at(2) + 1, 30},
		"behind both":         {at(3), 30},
		"behind itself":       {at(3) + 1, 0},
		"far away":            {1 << 60, 0},
	} {
		b := appendHeader(nil, h)
		b = appendRecord(b, record{recFile, 1, 77, 1000})
		b = appendRecord(b, record{recExtent, 1, 0, 10})
		b = appendRecord(b, record{recExtent, 1, 100, 20})
		b = appendRecord(b, record{kind: recBarrier, a: c.barrier})
		b = appendRecord(b, record{recExtent, 1, 200, 40})
		states, err := loadJournal(bytes.NewReader(b), other)
		if err != nil {
			t.Fatal(err)
		}
		var durable int64
		if s := states[1]; s != nil {
			durable = s.believed().bytes()
		}
		if durable != c.durable {
			t.Errorf("%s: %d bytes are durable, want %d", name, durable, c.durable)
		}
	}
}

// What a journal says of bytes that a file can't have is not believed.
func TestJournalOfImpossibleExtents(t *testing.T) {
	h := header{recipe: recipe.ID{1}, boot: [16]byte{2}, mount: 3}
	for name, c := range map[string]struct{ off, length, want uint64 }{
		"all":              {0, 1000, 1000},
		"the last byte":    {999, 1, 1},
		"beyond the end":   {900, 101, 0},
		"behind the end":   {1001, 1, 0},
		"nothing":          {10, 0, 0},
		"before the start": {1<<64 - 1, 2, 0},
		"less than none":   {10, 1 << 63, 0},
	} {
		b := appendRecord(appendHeader(nil, h), record{recFile, 1, 77, 1000})
		b = appendRecord(b, record{recExtent, 1, c.off, c.length})
		states, err := loadJournal(bytes.NewReader(b), h)
		if err != nil || states[1] == nil || states[1].believed().bytes() != int64(c.want) {
			t.Errorf("%s: %v, %v, want %d bytes", name, states[1], err, c.want)
		}
	}
	b := appendRecord(appendHeader(nil, h), record{recFile, 1, 77, 1000})
	b = appendRecord(b, record{recWhole, 1, 77, 1 << 63})
	if states, err := loadJournal(bytes.NewReader(b), h); err != nil || len(states) != 0 {
		t.Errorf("a file of a negative size: %v, %v", states, err)
	}
}

// TestJournalCutAnywhere: a torn tail or a flipped bit ends the journal there, whatever was whole
// before it counts.
func TestJournalCutAnywhere(t *testing.T) {
	h := header{recipe: recipe.ID{1}, boot: [16]byte{2}, mount: 3}
	raw := sampleJournal(h)
	for n := headerSize; n < len(raw); n++ {
		flipped := bytes.Clone(raw)
		flipped[n] ^= 0x10
		for what, cut := range map[string][]byte{"cut": raw[:n], "flipped": flipped} {
			got, err := loadJournal(bytes.NewReader(cut), h)
			if err != nil {
				t.Fatalf("%s at %d: %v", what, n, err)
			}
			whole := (n - headerSize) / recordSize
			if have := got[1] != nil; have != (whole >= 1) {
				t.Errorf("%s at %d: first record known: %v", what, n, have)
			}
			if _, have := got[2]; have {
				t.Errorf("%s at %d: last record known", what, n)
			}
		}
	}
}

func FuzzJournal(f *testing.F) {
	h := header{recipe: recipe.ID{1}, boot: [16]byte{2}, mount: 3}
	f.Add(sampleJournal(h))
	f.Add(sampleJournal(h)[:headerSize+recordSize+3])
	f.Add([]byte(journalMagic))
	f.Add(appendRecord(appendRecord(appendHeader(nil, h), record{recFile, 1, 2, 1 << 62}), record{recExtent, 1, 1 << 63, 1 << 63}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		reseal(raw)
		states, err := loadJournal(bytes.NewReader(raw), h)
		if err != nil {
			return
		}
		for n, s := range states {
			for _, e := range s.believed() {
				if e.Off < 0 || e.Len <= 0 || e.end() > s.size {
					t.Fatalf("entry %d of size %d: %v", n, s.size, e)
				}
			}
		}
	})
}

// reseal makes the sums right, so that the fuzzer gets past them.
func reseal(raw []byte) {
	fix := func(b []byte) {
		copy(b[len(b)-4:], binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b[:len(b)-4], castagnoli)))
	}
	if len(raw) < headerSize {
		return
	}
	fix(raw[:headerSize])
	for off := headerSize; off+recordSize <= len(raw); off += recordSize {
		fix(raw[off : off+recordSize])
	}
}

// A journal that is written anew says what the former one said: what was durable stays so, and the rest counts on the same boot only.
func TestJournalIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	h := header{recipe: recipe.ID{1}, boot: [16]byte{2}, mount: 3}
	loaded, err := loadJournal(bytes.NewReader(sampleJournal(h)), h)
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{stage: &staging{fd: fd}, head: h, fd: -1, old: -1, loaded: loaded}
	defer j.close()
	if err := errors.Join(j.rewrite(), j.replace(true)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	other := header{h.recipe, [16]byte{9}, h.mount}
	for now, want := range map[header]int64{h: 620, other: 500} {
		states, err := loadJournal(bytes.NewReader(raw), now)
		var bytes int64
		for _, s := range states {
			bytes += s.believed().bytes()
		}
		if err != nil || bytes != want {
			t.Errorf("boot %d: %d bytes are believed, want %d (%v)", now.boot[0], bytes, want, err)
		}
	}
}

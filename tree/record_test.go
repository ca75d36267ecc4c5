package tree

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

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

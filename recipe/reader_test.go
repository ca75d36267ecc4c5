package recipe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// readElements cuts a file by a new reader for every slice, and joins what holes were cut into.
func readElements(t *testing.T, data []byte, slice int64) []Ref {
	t.Helper()
	var refs []Ref
	var at Position
	for at.Offset < int64(len(data)) {
		r, err := NewElementReader(Rabin16, BLAKE3)
		if err != nil {
			t.Fatal(err)
		}
		r.Open(bytes.NewReader(data), int64(len(data)), at)
		for stop := at.Offset + slice; r.Position().Offset < min(stop, int64(len(data))); {
			pos := r.Position().Offset
			ref, chunk, err := r.Next(stop)
			if err != nil {
				t.Fatal(err)
			}
			if !ref.Hole && !bytes.Equal(chunk, data[pos:pos+ref.Bytes]) {
				t.Fatalf("bytes of the chunk at %d are not the file's", pos)
			}
			if n := len(refs); n > 0 && ref.Hole && refs[n-1].Hole {
				refs[n-1].Bytes += ref.Bytes
			} else {
				refs = append(refs, ref)
			}
		}
		at = r.Position()
	}
	return refs
}

// Whatever the slices are, the elements are those of Cut.
func TestElementReaderCutsAsCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, holes := range [][]int{{}, {70_000}, {65536, 4096, 200_000}, {1 << 20, 1000, 300_000}} {
		var data []byte
		for _, n := range append(holes, 0) {
			part := make([]byte, 100_000+rng.IntN(100_000))
			for i := range part {
				part[i] = byte(rng.Uint32())
			}
			data = append(append(data, part...), make([]byte, n)...)
		}
		var want []Ref
		cfg := CutConfig{Source: bytes.NewReader(data), Size: int64(len(data)), Profile: Rabin16, Hash: BLAKE3}
		if err := Cut(context.Background(), cfg, func(r Ref) error { want = append(want, r); return nil }); err != nil {
			t.Fatal(err)
		}
		for _, slice := range []int64{1, 5000, 65536, 1 << 20, 1 << 30} {
			got := readElements(t, data, slice)
			if len(got) != len(want) {
				t.Fatalf("holes %v, slice %d: %d elements, want %d", holes, slice, len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("holes %v, slice %d: element %d is %v, want %v", holes, slice, i, got[i], want[i])
				}
			}
		}
	}
}

func TestElementReaderEnds(t *testing.T) {
	r, err := NewElementReader(Rabin16, BLAKE3)
	if err != nil {
		t.Fatal(err)
	}
	r.Open(bytes.NewReader(make([]byte, 100)), 200, Position{})
	if _, _, err := r.Next(1 << 20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short file: %v", err)
	}
	r.Open(bytes.NewReader(make([]byte, 100)), 100, Position{Offset: 100})
	if _, _, err := r.Next(1 << 20); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
	if _, err := NewElementReader(Profile{Name: "odd"}, BLAKE3); err == nil {
		t.Error("an impossible profile was taken")
	}
	if _, err := NewElementReader(Rabin16, 9); err == nil {
		t.Error("an unknown hash was taken")
	}
}

package recipe

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// elementsOf reads a file to its end.
func elementsOf(t *testing.T, data []byte, stop int64, f Follows) (refs []Ref) {
	t.Helper()
	r, err := NewElementReader(Rabin16, BLAKE3)
	if err != nil {
		t.Fatal(err)
	}
	r.Open(bytes.NewReader(data), int64(len(data)), Position{})
	r.Expect(f)
	for {
		at := r.Position().Offset
		ref, chunk, err := r.Next(at + stop)
		if errors.Is(err, io.EOF) {
			return refs
		}
		if err != nil {
			t.Fatal(err)
		}
		if !ref.Hole && (BLAKE3.Chunk(chunk) != ref.ID || !bytes.Equal(chunk, data[at:at+ref.Bytes])) {
			t.Fatalf("wrong bytes at %d", at)
		}
		refs = append(refs, ref)
	}
}

// expectAll expects the chunks of a file; it counts what it was asked and knew.
func expectAll(refs []Ref, known *int) Follows {
	next := map[ID]Expected{}
	for i := 1; i < len(refs); i++ {
		last := i+1 == len(refs) || refs[i+1].Hole
		if !refs[i-1].Hole && !refs[i].Hole {
			next[refs[i-1].ID] = Expected{ID: refs[i].ID, Len: uint32(refs[i].Bytes), Last: last}
		}
	}
	return func(after ID) (Expected, bool) {
		x, ok := next[after]
		if ok {
			*known++
		}
		return x, ok
	}
}

// A file has the same elements whether it is expected to be what it is, another version, or nothing is expected.
func TestExpectFindsTheSameElements(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	data := slices.Concat(randomData(r, 3_000_000), make([]byte, 150_000), randomData(r, 900_000), bytes.Repeat([]byte{9}, 400_000))
	want := elementsOf(t, data, 1<<40, nil)
	for name, edits := range map[string]int{"itself": 0, "edited": 12} {
		other := slices.Clone(data)
		for range edits {
			copy(other[r.IntN(len(other)-3000):], randomData(r, 3000))
		}
		known := 0
		got := elementsOf(t, data, 1<<40, expectAll(elementsOf(t, other, 1<<40, nil), &known))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		}
		if known < len(want)/2 {
			t.Errorf("%s: only %d of %d chunks were expected", name, known, len(want))
		}
	}
	grown := append(slices.Clone(data), randomData(r, 100_000)...)
	if got := elementsOf(t, grown, 1<<40, expectAll(want, new(int))); !slices.Equal(got, elementsOf(t, grown, 1<<40, nil)) {
		t.Error("a file that has grown has other elements if its old end is expected")
	}
}

// What is expected may be nonsense, or contain what no builder takes for a chunk: the bytes of each chunk are still its own,
// and all bytes are there.
func TestExpectNonsense(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	data := slices.Concat(randomData(r, 300_000), make([]byte, 400_000), randomData(r, 300_000))
	for range 200 {
		f := func(after ID) (Expected, bool) {
			x := Expected{Len: r.Uint32N(70_000), Last: r.IntN(2) == 0}
			switch r.IntN(5) {
			case 0:
				x.Len = r.Uint32()
			case 1:
				x.ID = BLAKE3.Chunk(make([]byte, x.Len))
			case 2:
				off := r.IntN(len(data) - 70_000)
				x.ID = BLAKE3.Chunk(data[off : off+int(x.Len)])
			case 3:
				return x, false
			}
			return x, true
		}
		sum := int64(0)
		for _, ref := range elementsOf(t, data, 1+r.Int64N(200_000), f) {
			sum += ref.Bytes
		}
		if sum != int64(len(data)) {
			t.Fatalf("elements of %d bytes, want %d", sum, len(data))
		}
	}
}

func randomData(r *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

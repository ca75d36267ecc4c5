package recipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// memFile is a file in memory whose zero blocks are known as the file system would know them.
type memFile struct {
	*bytes.Reader
	data   []byte
	sparse bool
}

func newMemFile(data []byte, sparse bool) memFile {
	return memFile{bytes.NewReader(data), data, sparse}
}

func (m memFile) NextData(off int64) (int64, error) {
	if !m.sparse {
		return off, nil
	}
	for ; off < int64(len(m.data)); off += HoleAlign - off%HoleAlign {
		if !isZero(m.data[off:min(off+HoleAlign-off%HoleAlign, int64(len(m.data)))]) {
			return off, nil
		}
	}
	return 0, io.EOF
}

// slowCut is the definition of a recipe's elements, without haste: holes first, then restic's cuts between them.
func slowCut(t *testing.T, data []byte) (refs []Ref) {
	data0 := func(part []byte) {
		for _, n := range resticCuts(t, part, Rabin16) {
			refs = append(refs, Ref{ID: BLAKE3.Chunk(part[:n]), Bytes: int64(n), Chunks: 1})
			part = part[n:]
		}
	}
	from, pos := 0, 0
	for pos < len(data) {
		end := pos
		for end < len(data) && bytes.Count(data[end:min(end+HoleAlign, len(data))], []byte{0}) == min(HoleAlign, len(data)-end) {
			end = min(end+HoleAlign, len(data))
		}
		if end-pos >= MinHole {
			data0(data[from:pos])
			refs = append(refs, Ref{Bytes: int64(end - pos), Hole: true})
			from, pos = end, end
			continue
		}
		pos = min(max(end, pos)+HoleAlign, len(data))
	}
	data0(data[from:])
	return refs
}

func cutMem(t *testing.T, data []byte, sparse bool, workers int, segment int64) (refs []Ref) {
	t.Helper()
	cfg := CutConfig{Source: newMemFile(data, sparse), Size: int64(len(data)), Profile: Rabin16, Hash: BLAKE3, Workers: workers, segment: segment}
	if err := Cut(t.Context(), cfg, func(r Ref) error { refs = append(refs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return refs
}

// holed blanks some runs of data: short, long, aligned and not.
func holed(rng *rand.Rand, data []byte) []byte {
	for range 1 + len(data)/300_000 {
		if len(data) == 0 {
			break
		}
		start := rng.IntN(len(data))
		n := []int{4096, MinHole - HoleAlign, MinHole, MinHole + 1, MinHole + HoleAlign, 3 * MinHole, 700_000}[rng.IntN(7)]
		if rng.IntN(2) == 0 {
			start &^= HoleAlign - 1
		}
		clear(data[start:min(start+n, len(data))])
	}
	return data
}

func TestCutIsTheSameHoweverItIsSplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	sizes := []int{0, 1, 4095, MinHole - 1, MinHole, MinHole + 1, 2*MinHole + 4095, 450_000}
	for _, character := range append(sampleCharacters, "zero") {
		for _, size := range sizes {
			for round := range 2 {
				data := sampleData(rng, character, size)
				if round > 0 {
					data = holed(rng, data)
				}
				checkCuts(t, fmt.Sprintf("%s, %d bytes, round %d", character, size, round), data)
			}
		}
	}
}

func checkCuts(t *testing.T, what string, data []byte) {
	t.Helper()
	want := slowCut(t, data)
	for _, sparse := range []bool{false, true} {
		for _, segment := range []int64{0, 4 << 10, 20 << 10, 132 << 10, 1 << 20} {
			if segment == 4<<10 && len(data) > 200_000 {
				continue // segments of one block each: small files show it as well
			}
			workers := 3
			if segment == 0 {
				workers = 1
			}
			got := cutMem(t, data, sparse, workers, segment)
			if err := sameRefs(got, want); err != nil {
				t.Fatalf("%s, segments of %d, sparse %v: %v", what, segment, sparse, err)
			}
		}
	}
}

func sameRefs(got, want []Ref) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got) || i >= len(want):
			return fmt.Errorf("%d elements, want %d", len(got), len(want))
		case got[i] != want[i]:
			return fmt.Errorf("element %d is %d bytes, hole %v, id %.8x; want %d, %v, %.8x", i,
				got[i].Bytes, got[i].Hole, got[i].ID, want[i].Bytes, want[i].Hole, want[i].ID)
		}
	}
	return nil
}

func FuzzCut(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint32(200_000), uint32(4096), uint32(70_000), uint8(5))
	f.Add([]byte{0}, uint32(300_000), uint32(1), uint32(0), uint8(1))
	f.Fuzz(func(t *testing.T, period []byte, n, holeAt, holeLen uint32, segment uint8) {
		if len(period) == 0 {
			return
		}
		data := bytes.Repeat(period, 1+int(n%600_000)/len(period))
		at := int(holeAt) % len(data)
		clear(data[at:min(at+int(holeLen%400_000), len(data))])
		want := slowCut(t, data)
		for _, workers := range []int{1, 3} {
			got := cutMem(t, data, segment%2 == 0, workers, int64(1+segment%64)*HoleAlign)
			if err := sameRefs(got, want); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestCutErrors(t *testing.T) {
	data := sampleData(rand.New(rand.NewPCG(7, 8)), "random", 3<<20)
	ignore := func(Ref) error { return nil }
	for _, workers := range []int{1, 3} {
		cfg := CutConfig{Source: bytes.NewReader(data), Size: int64(len(data)), Profile: Rabin16, Hash: BLAKE3, Workers: workers, segment: 256 << 10}

		short := cfg
		short.Size++
		if err := Cut(t.Context(), short, ignore); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d workers, short file: %v", workers, err)
		}
		stop := errors.New("stop")
		if err := Cut(t.Context(), cfg, func(Ref) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%d workers, emit fails: %v", workers, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Cut(ctx, cfg, ignore); !errors.Is(err, context.Canceled) {
			t.Errorf("%d workers, canceled: %v", workers, err)
		}
		unknown := cfg
		unknown.Hash = 77
		if err := Cut(t.Context(), unknown, ignore); err == nil {
			t.Errorf("%d workers: unknown hash is accepted", workers)
		}
	}
}

func TestCutSkipsHugeHoles(t *testing.T) {
	const size = 1 << 60
	src := hugeFile{}
	var refs []Ref
	cfg := CutConfig{Source: src, Size: size, Profile: Rabin16, Hash: BLAKE3, Workers: 2}
	if err := Cut(t.Context(), cfg, func(r Ref) error { refs = append(refs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(refs) != 1 || refs[0] != (Ref{Bytes: size, Hole: true}) {
		t.Fatalf("elements %v, want one hole", refs)
	}
}

// hugeFile is all hole, and says so.
type hugeFile struct{}

func (hugeFile) ReadAt([]byte, int64) (int, error) { return 0, errors.New("hole was read") }
func (hugeFile) NextData(off int64) (int64, error) { return 0, io.EOF }

func BenchmarkCut(b *testing.B) {
	data := bytes.Repeat(benchData(), 8)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			cfg := CutConfig{Source: bytes.NewReader(data), Size: int64(len(data)), Profile: Rabin16, Hash: BLAKE3, Workers: workers}
			for b.Loop() {
				if err := Cut(b.Context(), cfg, func(Ref) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

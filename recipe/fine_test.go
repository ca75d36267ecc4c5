package recipe

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFineIsResticTwin holds the cuts of fine lists against restic's chunker, and the sums against the hash.
func TestFineIsResticTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, character := range sampleCharacters {
		for _, size := range []int{0, 1, 511, 512, 513, 4096, 4097, 16_398, 65_536, 300_001} {
			data := sampleData(rng, character, size)
			list := Fine(BLAKE3, nil, data)
			if most := (size + MinFine - 1) / MinFine; len(list) > most {
				t.Fatalf("%s: %d entries of %d bytes, at most %d were promised", character, len(list), size, most)
			}
			lens := make([]int, len(list))
			for i, e := range list {
				lens[i] = int(e.Len)
			}
			compareCuts(t, character, lens, resticCuts(t, data, fineProfile))
			for _, e := range list {
				if id := BLAKE3.Chunk(data[:e.Len]); !bytes.Equal(id[:8], e.Sum[:]) {
					t.Fatalf("%s: sum of a sub-chunk differs from its hash", character)
				}
				data = data[e.Len:]
			}
		}
	}
}

// TestFineFallsInStep cuts a chunk, and a stretch that holds it in other surroundings: most entries are
// the same.
func TestFineFallsInStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	chunk := sampleData(rng, "random", 32<<10)
	stretch := bytes.Join([][]byte{sampleData(rng, "random", 10_007), chunk, sampleData(rng, "random", 5003)}, nil)
	there := map[FineEntry]bool{}
	for _, e := range Fine(SHA256, nil, stretch) {
		there[e] = true
	}
	list, found := Fine(SHA256, nil, chunk), 0
	for _, e := range list {
		if there[e] {
			found++
		}
	}
	if found < len(list)-6 || found == 0 {
		t.Fatalf("%d of %d entries were found", found, len(list))
	}
}

// TestFineListCoversTheChunk: the entries are those of Fine, and each block has its sum.
func TestFineListCoversTheChunk(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 9))
	for _, size := range []int{0, 1, 127, 128, 129, 5000, 65_536} {
		data := sampleData(rng, "random", size)
		l := FineListOf(BLAKE3, data)
		if !slices.Equal(l.Entries, Fine(BLAKE3, nil, data)) || l.Bytes() != int64(size) || len(l.Blocks) != FineBlocks(size) {
			t.Fatalf("%d bytes: entries of %d, %d blocks", size, l.Bytes(), len(l.Blocks))
		}
		for i, sum := range l.Blocks {
			from := i * FineBlock
			if got := uint16(crc32.Checksum(data[from:min(from+FineBlock, size)], crc32.MakeTable(crc32.Castagnoli))); got != sum {
				t.Fatalf("block %d of %d bytes: %04x, want %04x", i, size, sum, got)
			}
		}
	}
}

func TestFineAppends(t *testing.T) {
	data := sampleData(rand.New(rand.NewPCG(9, 1)), "random", 5000)
	first := []FineEntry{{Len: 1}}
	list := Fine(BLAKE3, first, data)
	if list[0] != first[0] || len(list) != 1+len(Fine(BLAKE3, nil, data)) {
		t.Fatalf("%d entries after one", len(list))
	}
}

func BenchmarkFine(b *testing.B) {
	data := sampleData(rand.New(rand.NewPCG(3, 4)), "random", 1<<20)
	var list []FineEntry
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		list = Fine(BLAKE3, list[:0], data)
	}
}

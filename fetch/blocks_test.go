package fetch

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"dfetch/diskscan"
	"dfetch/recipe"
)

// closerIn is zoomer.closer with a file in memory.
func closerIn(m matched, blocks []uint16, at *stretch, file []byte) matched {
	gs := guesses(m, at)
	for i := range gs {
		g := &gs[i]
		g.data = file[g.off : g.off+int64(g.to-g.from)]
	}
	return m.byBlocks(blocks, gs)
}

// withEdits is a chunk that resembles file[from:to]: at random places some bytes are others, more, or missing.
func withEdits(rng *rand.Rand, file []byte, edits, length int) []byte {
	chunk := bytes.Clone(file)
	for range edits {
		at := rng.IntN(len(chunk) - length)
		end := at + length
		fresh := make([]byte, rng.IntN(2*length))
		for i := range fresh {
			fresh[i] = byte(rng.Uint32())
		}
		chunk = append(append(bytes.Clone(chunk[:at]), fresh...), chunk[end:]...)
	}
	return chunk
}

// What is put together from blocks and sub-chunks is the chunk, whatever the edits; and of each edit little more
// than its own bytes is missing.
func TestBlocksNarrowEdits(t *testing.T) {
	const edits, length = 3, 60
	rng := rand.New(rand.NewPCG(1, 2))
	file := make([]byte, 80_000)
	for i := range file {
		file[i] = byte(rng.Uint32())
	}
	var coarse, fine int
	const rounds = 300
	for range rounds {
		off := rng.IntN(40_000)
		chunk := withEdits(rng, file[off:off+5000+rng.IntN(20_000)], edits, length)
		list := recipe.FineListOf(recipe.BLAKE3, chunk)
		from := max(0, off-rng.IntN(3)*700)
		at := stretchOf(file[from:min(len(file), off+30_000)], int64(from))
		m := match(list.Entries, at)
		c := closerIn(m, list.Blocks, at, file)
		if c.length != uint32(len(chunk)) || c.missing > m.missing {
			t.Fatalf("%d bytes of %d, %d missing after %d", c.length, len(chunk), c.missing, m.missing)
		}
		if got := patched(t, c, chunk, file); !bytes.Equal(got, chunk) {
			t.Fatal("what was put together is not the chunk")
		}
		coarse += int(m.missing)
		fine += int(c.missing)
	}
	if most := rounds * edits * (length + 5*recipe.FineBlock); fine > most || fine > coarse/2 {
		t.Errorf("%d bytes are missing, %d without blocks; at most %d should be", fine, coarse, most)
	}
}

// The first and the last chunk of a missing run begin and end where the stretch does, also if no sub-chunk is there.
func TestBlocksAtTheEndsOfAStretch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	file := make([]byte, 3000)
	for i := range file {
		file[i] = byte(rng.Uint32())
	}
	chunk := bytes.Clone(file[:900])
	chunk[450] ^= 1
	at := stretchOf(file[:900], 0)
	list := recipe.FineListOf(recipe.BLAKE3, chunk)
	m := match(list.Entries, at)
	c := closerIn(m, list.Blocks, at, file)
	if got := patched(t, c, chunk, file); !bytes.Equal(got, chunk) || c.missing != recipe.FineBlock {
		t.Errorf("%d bytes are missing, want one block; %d without blocks", c.missing, m.missing)
	}
}

// FuzzBlocks: whatever a peer says of blocks, each byte of the chunk is either kept or missing, and what is kept lies
// inside the stretch.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 1, 1}, []byte{1, 9, 3}, uint16(7), uint16(40))
	f.Fuzz(func(t *testing.T, list, have []byte, off, short uint16) {
		at := &stretch{off: int64(off), fine: map[recipe.FineEntry]int64{}}
		entry := func(b byte) recipe.FineEntry {
			return recipe.FineEntry{Sum: [8]byte{b}, Len: uint16(b)*16 + 1}
		}
		end := at.off
		for _, b := range have {
			at.fine[entry(b)] = end
			end += int64(entry(b).Len)
		}
		at.len = end - at.off
		file := make([]byte, end+int64(short))
		var fine []recipe.FineEntry
		for _, b := range list {
			fine = append(fine, entry(b))
		}
		m := match(fine, at)
		blocks := make([]uint16, recipe.FineBlocks(int(m.length)))
		for i := range blocks {
			blocks[i] = recipe.BlockSum(make([]byte, recipe.FineBlock)) + uint16(i%3)
		}
		c := closerIn(m, blocks, at, file)
		if c.length != m.length || c.missing > m.missing {
			t.Fatalf("%d bytes, %d missing, of %d, %d", c.length, c.missing, m.length, m.missing)
		}
		place, kept := uint32(0), c.kept
		for i := 0; i <= len(c.spans); i++ {
			for len(kept) > 0 && kept[0].at == place {
				if kept[0].off < at.off || kept[0].off+int64(kept[0].len) > end {
					t.Fatalf("%+v is kept outside of %d+%d", kept[0], at.off, at.len)
				}
				place += kept[0].len
				kept = kept[1:]
			}
			if i < len(c.spans) {
				if c.spans[i].Off != place || c.spans[i].Len == 0 {
					t.Fatalf("span %+v at %d", c.spans[i], place)
				}
				place += c.spans[i].Len
			}
		}
		if place != c.length || len(kept) > 0 {
			t.Fatalf("%d bytes of %d are covered", place, c.length)
		}
	})
}

// One block of the right sum proves nothing by itself; beside what is there, or another one, it counts.
func TestALoneBlockDoesNotCount(t *testing.T) {
	const block = recipe.FineBlock
	rng := rand.New(rand.NewPCG(5, 6))
	file := make([]byte, 20*block)
	for i := range file {
		file[i] = byte(rng.Uint32())
	}
	for name, c := range map[string]struct {
		right []uint32 // blocks of the span 2..10 whose sums are right
		kept  []uint32
	}{
		"alone":        {[]uint32{5}, nil},
		"two":          {[]uint32{5, 6}, []uint32{5, 6}},
		"at the start": {[]uint32{2}, []uint32{2}},
		"at the end":   {[]uint32{9}, []uint32{9}},
		"mixed":        {[]uint32{2, 3, 5, 7, 8, 9}, []uint32{2, 3, 7, 8, 9}},
	} {
		var m matched
		m.keep(2*block, 0)
		m.miss(8 * block)
		m.keep(4*block, 10*block)
		blocks := make([]uint16, 14)
		for k := range blocks {
			blocks[k] = ^recipe.BlockSum(file[k*block : (k+1)*block])
		}
		for _, k := range c.right {
			blocks[k] = ^blocks[k]
		}
		got := closerIn(m, blocks, &stretch{len: 14 * block}, file)
		if want := uint32(8-len(c.kept)) * block; got.missing != want || got.length != 14*block {
			t.Errorf("%s: %d bytes are missing, want %d", name, got.missing, want)
		}
	}
}

// A sender whose chunks come out wrong is not believed any more; one in some thousand may.
func TestTrustInBlocksEnds(t *testing.T) {
	var b blockTrust
	b.wrong.Store(wrongBlocks)
	if !b.holds() {
		t.Error("no trust after a few wrong chunks")
	}
	b.wrong.Add(1)
	if b.holds() {
		t.Errorf("trust after %d wrong chunks", b.wrong.Load())
	}
	if b.asked.Store(wrongOf); !b.holds() {
		t.Error("one wrong chunk of thousands ends trust")
	}
}

// Blocks are compared with files of the destination alone, and not any more once chunks have come out wrong.
func TestBlocksAreForTheDestination(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "dest")
	if err := os.Mkdir(dest, 0o755); err != nil {
		t.Fatal(err)
	}
	scope := diskscan.OpenScope(t.Context(), diskscan.ScopeConfig{Dest: dest, Roots: []string{t.TempDir()}})
	defer scope.Close()
	rng := rand.New(rand.NewPCG(7, 8))
	data := make([]byte, 20_000)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	chunk := bytes.Clone(data)
	chunk[9000] ^= 1
	list := recipe.FineListOf(recipe.BLAKE3, chunk)
	z := &zoomer{s: &searcher{scope: scope}}
	narrows := func(dir diskscan.Dir) bool {
		at := stretchOf(data, 0)
		at.data, at.file.Dir = data, dir
		m := match(list.Entries, at)
		return z.closer(list.Blocks, m, at).missing < m.missing
	}
	starts := scope.Starts()
	if len(starts) != 2 {
		t.Fatalf("the search starts at %v", starts)
	}
	for _, dir := range starts {
		if in := scope.Path(dir) == dest; narrows(dir) != in {
			t.Errorf("%s: blocks are compared: %v", scope.Path(dir), !in)
		}
	}
	z.blocks.wrong.Store(wrongBlocks + 1)
	if narrows(starts[0]) || narrows(starts[1]) {
		t.Error("blocks are compared though chunks came out wrong")
	}
}

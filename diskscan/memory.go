package diskscan

import (
	"encoding/binary"
	"sync"

	"dfetch/recipe"
)

// memory knows where the chunks lay that Hash has seen, for ids that are wanted later. It holds two
// generations of chunks: when the younger one is full, the older one is forgotten.
type memory struct {
	mu    sync.Mutex
	limit int // chunks of a generation
	young generation
	old   generation
}

// generation is remembered chunks by the first bytes of their ids, and the files that they lie in. Two
// chunks whose ids begin alike share an entry; what is read is hashed again anyway.
type generation struct {
	chunks map[uint64]seenAt
	files  []seenFile
}

// seenAt is where a chunk lay.
type seenAt struct {
	off  int64
	file uint32
	len  uint32
}

// seenFile is a file as it was when it was hashed.
type seenFile struct {
	file  File
	stamp stamp
}

// newMemory makes a memory of at most n chunks.
func newMemory(n int) *memory {
	return &memory{limit: max(1, n/2), young: generation{chunks: map[uint64]seenAt{}}}
}

func memoryKey(id recipe.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// add remembers chunks of a file.
func (m *memory) add(f File, st stamp, chunks []Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(chunks) > 0 {
		n := min(len(chunks), m.limit-len(m.young.chunks))
		if n == 0 || len(m.young.files) >= m.limit { // files whose chunks are all known count too
			m.old, m.young = m.young, generation{chunks: map[uint64]seenAt{}}
			continue
		}
		m.young.add(f, st, chunks[:n])
		chunks = chunks[n:]
	}
}

func (g *generation) add(f File, st stamp, chunks []Chunk) {
	number := uint32(len(g.files))
	g.files = append(g.files, seenFile{f, st})
	for _, c := range chunks {
		g.chunks[memoryKey(c.ID)] = seenAt{off: c.Offset, file: number, len: uint32(c.Len)}
	}
}

// follow notes that a file has another stamp, and is what it was nevertheless. It has these chunks.
func (m *memory) follow(f File, was, now stamp, chunks []Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range []*generation{&m.young, &m.old} {
		for _, c := range chunks {
			if at, ok := g.chunks[memoryKey(c.ID)]; ok && g.files[at.file] == (seenFile{f, was}) {
				g.files[at.file].stamp = now
			}
		}
	}
}

// recall gives the chunks among ids that are remembered, by the file that they lie in.
func (m *memory) recall(ids []recipe.ID) []recalled {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []recalled
	numbers := map[seenFile]int{}
	for _, id := range ids {
		at, f, ok := m.find(id)
		if !ok {
			continue
		}
		n, known := numbers[f]
		if !known {
			n = len(out)
			numbers[f] = n
			out = append(out, recalled{seenFile: f})
		}
		out[n].chunks = append(out[n].chunks, Chunk{ID: id, Offset: at.off, Len: int(at.len)})
	}
	return out
}

// recalled is remembered chunks of one file.
type recalled struct {
	seenFile
	chunks []Chunk
}

// find looks a chunk up; mu is held.
func (m *memory) find(id recipe.ID) (seenAt, seenFile, bool) {
	if at, f, ok := m.young.find(id); ok {
		return at, f, true
	}
	return m.old.find(id)
}

func (g *generation) find(id recipe.ID) (seenAt, seenFile, bool) {
	at, ok := g.chunks[memoryKey(id)]
	if !ok {
		return seenAt{}, seenFile{}, false
	}
	return at, g.files[at.file], true
}

// Recall says where those of ids lay that Hash came across when nobody wanted them, or before. The runs
// are to be read as those of Check. It needs no disk. Without Config.Remember nothing is recalled.
func (d *Disk) Recall(ids []recipe.ID) []Run {
	if d.memory == nil {
		return nil
	}
	var s Sweep
	for _, r := range d.memory.recall(ids) {
		s.add(r.file, 0, r.stamp, r.chunks, d.gap(r.file.Dir))
	}
	return s.Runs
}

// Remembers says whether Recall knows a chunk.
func (d *Disk) Remembers(id recipe.ID) bool {
	if d.memory == nil {
		return false
	}
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	_, _, ok := d.memory.find(id)
	return ok
}

package fetch

import (
	"hash/maphash"

	"dfetch/recipe"
)

// slotTable finds slots by the ids of their chunks. It is a hash table with open addressing: an entry is the number of a
// slot, and some bits of the id's hash. Which of the slots are open it does not know: entries of others stay until it is
// made anew. The hash is seeded, since a recipe may name any ids.
type slotTable struct {
	seed    maphash.Seed
	entries []uint64 // a power of two; 0 is free
	used    int      // entries that are not free
}

// Bits of an entry that are the slot's number plus one. The others are the first ones of the hash.
const numberBits = 40

// minSlotTable is how many entries there are at least.
const minSlotTable = 1 << 13

func newSlotTable() slotTable {
	return slotTable{seed: maphash.MakeSeed(), entries: make([]uint64, minSlotTable)}
}

func (t *slotTable) hash(id *recipe.ID) uint64 { return maphash.Bytes(t.seed, id[:]) }

// add notes the slot of an id. The table must not be full.
func (t *slotTable) add(id *recipe.ID, number int) {
	hash, mask := t.hash(id), uint64(len(t.entries)-1)
	at := hash & mask
	for t.entries[at] != 0 {
		at = (at + 1) & mask
	}
	t.entries[at] = hash>>numberBits<<numberBits | uint64(number+1)
	t.used++
}

// full says whether the table is to be made anew before something is added: when half of it is used, so that searches are short.
func (t *slotTable) full() bool { return 2*t.used >= len(t.entries) }

// anew is a table of those entries of which idOf knows an id: at most an eighth of it is used.
func (t *slotTable) anew(idOf func(number int) *recipe.ID) slotTable {
	var kept []int
	for _, e := range t.entries {
		if n := numberOf(e); e != 0 && idOf(n) != nil {
			kept = append(kept, n)
		}
	}
	size := minSlotTable
	for size < 8*len(kept) {
		size *= 2
	}
	next := slotTable{seed: t.seed, entries: make([]uint64, size)}
	for _, n := range kept {
		next.add(idOf(n), n)
	}
	return next
}

func numberOf(entry uint64) int { return int(entry&(1<<numberBits-1)) - 1 }

// probe goes through the slots whose id may be one that is looked for.
type probe struct {
	t        *slotTable
	hash, at uint64
}

func (t *slotTable) probe(id *recipe.ID) probe {
	hash := t.hash(id)
	return probe{t, hash, hash}
}

// next is the next number; -1 at the end.
func (p *probe) next() int {
	mask := uint64(len(p.t.entries) - 1)
	for {
		e := p.t.entries[p.at&mask]
		if e == 0 {
			return -1
		}
		p.at++
		if e>>numberBits == p.hash>>numberBits {
			return numberOf(e)
		}
	}
}

package fetch

import (
	"hash/maphash"

	"dfetch/recipe"
)

// slotTable finds slots by the ids of their chunks. It is a hash table with open addressing: an entry is some bits of an id's
// hash, which say where it belongs too, and the number of the slot. Entries of slots that are not open any more stay until
// one like them is added, or the table is made anew: its user says which are open. The hash is seeded, since a recipe may
// name any ids.
type slotTable struct {
	seed    maphash.Seed
	entries []uint64 // a power of two; 0 is free
	used    int      // entries that are not free
}

// numberBits is how much of an entry is the slot's number plus one. The rest are for tables of up to 1<<24 entries.
const numberBits = 40

// minSlotTable is how many entries there are at least.
const minSlotTable = 1 << 13

func newSlotTable() slotTable {
	return slotTable{seed: maphash.MakeSeed(), entries: make([]uint64, minSlotTable)}
}

func (t *slotTable) hash(id *recipe.ID) uint64 { return maphash.Bytes(t.seed, id[:]) >> numberBits }

// add notes the slot of an id, which has no open one. The table must not be full. A chunk that is wanted and comes again and
// again has one entry.
func (t *slotTable) add(id *recipe.ID, number int, open func(number int) bool) {
	hash := t.hash(id)
	mask := uint64(len(t.entries) - 1)
	at := hash & mask
	for e := t.entries[at]; e != 0; e = t.entries[at] {
		if e>>numberBits == hash && !open(numberOf(e)) {
			t.used--
			break
		}
		at = (at + 1) & mask
	}
	t.entries[at] = hash<<numberBits | uint64(number+1)
	t.used++
}

// put is add for a table without entries that are not open.
func (t *slotTable) put(entry uint64) {
	mask := uint64(len(t.entries) - 1)
	at := entry >> numberBits & mask
	for t.entries[at] != 0 {
		at = (at + 1) & mask
	}
	t.entries[at] = entry
	t.used++
}

// full says whether the table is to be made anew before something is added: when half of it is used, so that searches are short.
func (t *slotTable) full() bool { return 2*t.used >= len(t.entries) }

// anew is a table of those entries whose slots are open: at most an eighth of it is used.
func (t *slotTable) anew(open func(number int) bool) slotTable {
	var kept []uint64
	for _, e := range t.entries {
		if e != 0 && open(numberOf(e)) {
			kept = append(kept, e)
		}
	}
	size := minSlotTable
	for size < 8*len(kept) {
		size *= 2
	}
	next := slotTable{seed: t.seed, entries: make([]uint64, size)}
	for _, e := range kept {
		next.put(e)
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
		if e>>numberBits == p.hash {
			return numberOf(e)
		}
	}
}

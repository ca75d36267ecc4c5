package fetch

import (
	"hash/maphash"

	"dfetch/recipe"
)

// slotTable finds slots by the ids of their chunks. It is a hash table with open addressing: an entry is some bits of an id's
// hash, which say where it belongs too, and the number of the slot. Entries of slots that are not open any more stay until
// one like them is added, or the table is made anew: its user says which are open. That it does in steps, with each entry that
// is added: searches look into both tables meanwhile. The hash is seeded, since a recipe may name any ids.
type slotTable struct {
	seed    maphash.Seed
	open    func(number int) bool
	entries []uint64 // a power of two; 0 is free
	used    int      // entries that are not free
	old     []uint64 // the table before, of which the first moved entries are not needed any more; nil: there is none
	moved   int
}

// numberBits is how much of an entry is the slot's number plus one, which is enough for 16 PiB of chunks. The rest are for tables
// of up to 1<<24 entries.
const numberBits = 40

const (
	minSlotTable  = 1 << 13 // entries
	slotTableStep = 16      // entries of the old table that are looked at each time
)

func newSlotTable(open func(number int) bool) slotTable {
	return slotTable{seed: maphash.MakeSeed(), open: open, entries: make([]uint64, minSlotTable)}
}

func (t *slotTable) hash(id *recipe.ID) uint64 { return maphash.Bytes(t.seed, id[:]) >> numberBits }

// add notes the slot of an id, which has no open one; about so many slots are open. A chunk that is wanted and comes again and
// again has one entry.
func (t *slotTable) add(id *recipe.ID, number, slots int) {
	if 2*t.used >= len(t.entries) {
		t.renew(slots)
	}
	t.move(slotTableStep)
	t.put(t.hash(id)<<numberBits | uint64(number+1))
}

// put takes an entry in.
func (t *slotTable) put(entry uint64) {
	mask := uint64(len(t.entries) - 1)
	at := entry >> numberBits & mask
	for e := t.entries[at]; e != 0; e = t.entries[at] {
		if e>>numberBits == entry>>numberBits && !t.open(numberOf(e)) {
			t.used--
			break
		}
		at = (at + 1) & mask
	}
	t.entries[at] = entry
	t.used++
}

// renew begins a table of which so many slots use an eighth. It is not half full before all of the old one has moved.
func (t *slotTable) renew(slots int) {
	t.move(len(t.old))
	size := max(minSlotTable, len(t.entries)/2)
	for size < 8*slots {
		size *= 2
	}
	t.old, t.moved = t.entries, 0
	t.entries, t.used = make([]uint64, size), 0
}

// move takes in what is open among the next n entries of the old table.
func (t *slotTable) move(n int) {
	for _, e := range t.old[t.moved:min(t.moved+n, len(t.old))] {
		if e != 0 && t.open(numberOf(e)) {
			t.put(e)
		}
	}
	if t.moved += n; t.moved >= len(t.old) {
		t.old, t.moved = nil, 0
	}
}

func numberOf(entry uint64) int { return int(entry&(1<<numberBits-1)) - 1 }

// probe goes through the slots whose id may be one that is looked for.
type probe struct {
	entries, old []uint64
	hash, at     uint64
}

func (t *slotTable) probe(id *recipe.ID) probe {
	hash := t.hash(id)
	return probe{t.entries, t.old, hash, hash}
}

// next is the next number; -1 at the end.
func (p *probe) next() int {
	for {
		e := p.entries[p.at&uint64(len(p.entries)-1)]
		p.at++
		switch {
		case e == 0 && p.old == nil:
			return -1
		case e == 0:
			p.entries, p.old, p.at = p.old, nil, p.hash
		case e>>numberBits == p.hash:
			return numberOf(e)
		}
	}
}

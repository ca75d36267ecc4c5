package sources

import (
	"math/bits"
	"slices"
)

const blockSize = 64 // ordinals of a block, the bits of its mask

// book holds outstanding wants by ordinal. Wants lie in blocks of neighbours, so a dense million
// costs little more than the wants themselves.
type book struct {
	blocks map[uint64]*block // by ordinal / blockSize
	bytes  int64
}

// block holds the wants of blockSize ordinals.
type block struct {
	known uint64 // bit i: the ordinal has a place in wants
	live  uint64 // bit i: it is outstanding
	wants []Want // one for each bit of known, ascending
}

func newBook() book { return book{blocks: make(map[uint64]*block)} }

func split(ordinal uint64) (key, bit uint64) {
	return ordinal / blockSize, 1 << (ordinal % blockSize)
}

// place is where the want of a bit lies, or would lie.
func (b *block) place(bit uint64) int { return bits.OnesCount64(b.known & (bit - 1)) }

// put adds a want; false if its ordinal is outstanding already.
func (k *book) put(w Want) bool {
	key, bit := split(w.Ordinal)
	b := k.blocks[key]
	if b == nil {
		b = new(block)
		k.blocks[key] = b
	}
	if b.live&bit != 0 {
		return false
	}
	i := b.place(bit)
	if b.known&bit != 0 {
		b.wants[i] = w
	} else {
		b.wants = slices.Insert(b.wants, i, w)
	}
	b.known |= bit
	b.live |= bit
	k.bytes += w.Bytes()
	return true
}

// look finds the want of an ordinal and leaves it there.
func (k *book) look(ordinal uint64) (Want, bool) {
	key, bit := split(ordinal)
	b := k.blocks[key]
	if b == nil || b.live&bit == 0 {
		return Want{}, false
	}
	return b.wants[b.place(bit)], true
}

// take removes the want of an ordinal.
func (k *book) take(ordinal uint64) (Want, bool) {
	w, ok := k.look(ordinal)
	if !ok {
		return Want{}, false
	}
	key, bit := split(ordinal)
	b := k.blocks[key]
	b.live &^= bit
	k.bytes -= w.Bytes()
	if b.live == 0 {
		delete(k.blocks, key)
	}
	return w, true
}

// takeRange removes the wants of a range and appends them to gone. A peer chooses the range, so the
// work is bounded by what is outstanding, not by its length.
func (k *book) takeRange(gone []Want, r Range) []Want {
	if r.Count == 0 {
		return gone
	}
	first, last := r.First, r.First+r.Count-1
	if last < first {
		last = ^uint64(0)
	}
	for _, key := range k.keys(first/blockSize, last/blockSize) {
		gone = k.takeBlock(gone, key, first, last)
	}
	return gone
}

// takeAll removes every want, in ascending order.
func (k *book) takeAll() []Want {
	return k.takeRange(nil, Range{First: 0, Count: ^uint64(0)})
}

// takeBlock removes the wants of one block from first to last.
func (k *book) takeBlock(gone []Want, key, first, last uint64) []Want {
	live := k.blocks[key].live
	for ; live != 0; live &= live - 1 {
		ordinal := key*blockSize + uint64(bits.TrailingZeros64(live))
		if ordinal < first || ordinal > last {
			continue
		}
		w, _ := k.take(ordinal)
		gone = append(gone, w)
	}
	return gone
}

// keys are those of the blocks from first to last, ascending.
func (k *book) keys(first, last uint64) []uint64 {
	var keys []uint64
	if last-first < uint64(len(k.blocks)) {
		for key := first; key <= last; key++ {
			if k.blocks[key] != nil {
				keys = append(keys, key)
			}
		}
		return keys
	}
	for key := range k.blocks {
		if key >= first && key <= last {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (k *book) has(ordinal uint64) bool {
	key, bit := split(ordinal)
	b := k.blocks[key]
	return b != nil && b.live&bit != 0
}

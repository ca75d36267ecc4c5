package recipe

import (
	"fmt"
	"sync"
)

// A chunk ends where the Rabin fingerprint of the 64 bytes before has its low bits zero. The cuts are
// those of github.com/restic/chunker v0.4.0 with the same parameters; a test holds the two together.
//
// Here a digest lies in the upper 53 bits of a word: what leaves its top is gone by itself.
//
// The fingerprint at an offset depends on the 64 bytes before it alone. So the scan skips the first
// Min-64 bytes of each chunk, and goes on in three lanes, a third of a block each: one lane's table
// lookups wait for each other, three lanes' overlap; four would not fit the registers.
const (
	rabinWindow = 64
	rabinDegree = 53 // of every registered polynomial
	rabinShift  = 64 - rabinDegree
	laneCount   = 3
	laneLen     = 1024 // longer: more is scanned in vain behind a cut; shorter: more warming up
	laneBlock   = rabinWindow + laneCount*laneLen
)

// rabinTables serve one polynomial.
type rabinTables struct {
	mod [256]uint64 // mod[b] is the remainder of b·x^53
	out [256]uint64 // out[b] takes away byte b, 64 places back, after the next byte was shifted in
}

// Cutter finds the ends of chunks. It has no state between calls, so many goroutines may use one.
type Cutter struct {
	tab      *rabinTables
	mask     uint64
	min, max int
}

// NewCutter returns the cutter of a profile. It refuses parameters outside the allow-list.
func NewCutter(p Profile) (*Cutter, error) {
	if p.Min < rabinWindow || p.Max < p.Min || p.Max > MaxChunk {
		return nil, fmt.Errorf("chunker %q: sizes %d…%d are not within %d…%d", p.Name, p.Min, p.Max, rabinWindow, MaxChunk)
	}
	if p.AvgBits < 1 || p.AvgBits > 24 {
		return nil, fmt.Errorf("chunker %q: %d average bits are not within 1…24", p.Name, p.AvgBits)
	}
	if p.Polynomial != Rabin16.Polynomial {
		return nil, fmt.Errorf("chunker %q: polynomial %#x is not registered", p.Name, p.Polynomial)
	}
	return &Cutter{tab: rabin16Tables(), mask: (1<<p.AvgBits - 1) << rabinShift, min: int(p.Min), max: int(p.Max)}, nil
}

var rabin16Tables = sync.OnceValue(func() *rabinTables { return newRabinTables(Rabin16.Polynomial) })

// newRabinTables computes the tables of an irreducible polynomial of degree 53.
func newRabinTables(pol uint64) *rabinTables {
	t := new(rabinTables)
	for b := range t.mod {
		t.mod[b] = reduce(uint64(b)<<rabinDegree, pol) << rabinShift
	}
	for b := range t.out {
		d := uint64(b) << rabinShift
		for range rabinWindow {
			d = t.push(d, 0)
		}
		t.out[b] = d
	}
	return t
}

// reduce returns x modulo pol, both over GF(2).
func reduce(x, pol uint64) uint64 {
	for bit := 63; bit >= rabinDegree; bit-- {
		if x>>bit&1 == 1 {
			x ^= pol << (bit - rabinDegree)
		}
	}
	return x
}

// push shifts one byte into digest d.
func (t *rabinTables) push(d uint64, b byte) uint64 {
	return d<<8 ^ uint64(b)<<rabinShift ^ t.mod[d>>56]
}

// roll shifts byte in into digest d, and byte out, one window before it, out of it.
func (t *rabinTables) roll(d uint64, in, out byte) uint64 {
	return d<<8 ^ (uint64(in)<<rabinShift ^ t.out[out]) ^ t.mod[d>>56]
}

// Next returns the length of the first chunk of data. Data begins where a chunk begins and holds
// at least Max bytes, or all that is left of the extent.
func (c *Cutter) Next(data []byte) int {
	if len(data) > c.max {
		data = data[:c.max]
	}
	if len(data) <= c.min {
		return len(data)
	}
	pos := c.min
	d := c.tab.digest(data[pos-rabinWindow : pos])
	if d&c.mask == 0 {
		return pos
	}
	for len(data)-pos >= laneCount*laneLen {
		n, last := c.tab.scanBlock((*[laneBlock]byte)(data[pos-rabinWindow:]), d, c.mask)
		if n != 0 {
			return pos + n
		}
		pos, d = pos+laneCount*laneLen, last
	}
	if n, _ := c.tab.scan(data[pos-rabinWindow:len(data)-rabinWindow], data[pos:], d, c.mask); n != 0 {
		return pos + n
	}
	return len(data)
}

// digest returns the fingerprint of a whole window.
func (t *rabinTables) digest(window []byte) (d uint64) {
	for _, b := range window {
		d = t.push(d, b)
	}
	return d
}

// scan rolls over in, with out the bytes one window before. It returns how many bytes it had taken when
// the digest matched, or 0 and the last digest.
func (t *rabinTables) scan(out, in []byte, d, mask uint64) (int, uint64) {
	out = out[:len(in)]
	for i, b := range in {
		d = t.roll(d, b, out[i])
		if d&mask == 0 {
			return i + 1, d
		}
	}
	return 0, d
}

// scanBlock is scan over three lanes at once. The block begins one window before the first byte to take.
func (t *rabinTables) scanBlock(p *[laneBlock]byte, d0, mask uint64) (int, uint64) {
	var d1, d2 uint64
	for i := range rabinWindow {
		d1 = t.push(d1, p[i+laneLen])
		d2 = t.push(d2, p[i+2*laneLen])
	}
	for i := range laneLen {
		d0 = t.roll(d0, p[i+rabinWindow], p[i])
		d1 = t.roll(d1, p[i+rabinWindow+laneLen], p[i+laneLen])
		d2 = t.roll(d2, p[i+rabinWindow+2*laneLen], p[i+2*laneLen])
		if d0&mask == 0 || d1&mask == 0 || d2&mask == 0 {
			return t.firstHit(p, [laneCount]uint64{d0, d1, d2}, i, mask), 0
		}
	}
	return 0, d2
}

// firstHit finds the first match of a block, given that some lane matches at step i and none before.
func (t *rabinTables) firstHit(p *[laneBlock]byte, d [laneCount]uint64, i int, mask uint64) int {
	for lane, digest := range d {
		start := lane*laneLen + i + 1
		if digest&mask == 0 {
			return start
		}
		rest := laneLen - i - 1
		out, in := p[start:start+rest], p[start+rabinWindow:start+rabinWindow+rest]
		if n, _ := t.scan(out, in, digest, mask); n != 0 {
			return start + n
		}
	}
	return 0
}

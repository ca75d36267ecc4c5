package lsm

import "math/bits"

// A filter is a blocked Bloom filter: a key sets filterBits bits of one line of 64 bytes, so one short read tells of a key. With
// ten bits a key it takes few keys that are not there for ones that are.
const (
	filterLine = 64 // bytes
	filterBits = 6
	filterKey  = 10 // bits for each key
)

// filterLines is how many lines the filter of so many keys has.
func filterLines(keys int) int { return keys*filterKey/(filterLine*8) + 1 }

// hashKey is FNV-1a, with its bits mixed: tables hold it, so it has to stay what it is.
func hashKey(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// lineOf is the line of a key's hash.
func lineOf(hash uint64, lines int) int {
	hi, _ := bits.Mul64(hash, uint64(lines))
	return int(hi)
}

// A key's bits in its line, nine bits of the hash each. The line comes from the hash's upper bits, so they are
// mixed once more.
func bitsOf(hash uint64) uint64 { return (hash ^ hash>>31) * 0x9e3779b97f4a7c15 >> 10 }

// setBits notes a key in its line.
func setBits(line []byte, hash uint64) {
	for b, i := bitsOf(hash), 0; i < filterBits; i, b = i+1, b>>9 {
		line[b&511>>3] |= 1 << (b & 7)
	}
}

// mayHold says whether a key may have been noted in a line.
func mayHold(line []byte, hash uint64) bool {
	for b, i := bitsOf(hash), 0; i < filterBits; i, b = i+1, b>>9 {
		if line[b&511>>3]&(1<<(b&7)) == 0 {
			return false
		}
	}
	return true
}

// filterWriter makes a filter for as many keys as are expected. It has no checksum: a wrong bit costs a lookup.
type filterWriter struct {
	lines []byte
	n     int
}

func newFilterWriter(keys int) *filterWriter {
	n := filterLines(keys)
	return &filterWriter{lines: make([]byte, n*filterLine), n: n}
}

func (f *filterWriter) add(key []byte) {
	h := hashKey(key)
	at := lineOf(h, f.n) * filterLine
	setBits(f.lines[at:at+filterLine], h)
}

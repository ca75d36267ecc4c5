package blake3

import (
	"math"

	"github.com/zeebo/blake3"
)

const (
	leafLen  = 1024
	blockLen = 64
	width    = 16 // lanes

	// fewLeaves is how many leaves, of all pieces together, do not fill the lanes enough.
	fewLeaves = 8
	// groupLeaves is how many leaves are worked on together: their hashes fit the processor's cache.
	groupLeaves = 512
)

// Sum256 is the hash of data.
func Sum256(data []byte) (sum [32]byte) {
	if len(data) <= fewLeaves*leafLen || uint64(len(data)) > math.MaxUint32 {
		return blake3.Sum256(data)
	}
	out := [1][32]byte{}
	Sums(out[:], data, []uint32{uint32(len(data))})
	return out[0]
}

// Sums stores the hashes of pieces that lie in data one after the other, lens[i] bytes each, in out. It
// panics if out is shorter than lens, or data than the pieces.
func Sums[H ~[32]byte](out []H, data []byte, lens []uint32) {
	for len(lens) > 0 {
		n, leaves, size := group(lens)
		if compress == nil || leaves <= fewLeaves {
			sumEach(out[:n], data[:size], lens[:n])
		} else {
			sumGroup(out[:n], data[:size], lens[:n], leaves)
		}
		out, data, lens = out[n:], data[size:], lens[n:]
	}
}

// group is how many of the next pieces are worked on together, and their leaves and bytes.
func group(lens []uint32) (n, leaves, size int) {
	for n < len(lens) && (n == 0 || leaves < groupLeaves) {
		leaves += max(1, (int(lens[n])+leafLen-1)/leafLen)
		size += int(lens[n])
		n++
	}
	return n, leaves, size
}

func sumEach[H ~[32]byte](out []H, data []byte, lens []uint32) {
	for i, n := range lens {
		out[i] = blake3.Sum256(data[:n])
		data = data[n:]
	}
}

// sumGroup computes the hashes of pieces that have this many leaves together.
func sumGroup[H ~[32]byte](out []H, data []byte, lens []uint32, leaves int) {
	w := works.Get().(*work)
	w.begin(len(lens), leaves)
	at := 0
	for i, n := range lens {
		at += w.addLeaves(&w.results[i], data[:n], at)
		data = data[n:]
	}
	w.finish()
	for i := range lens {
		out[i] = H(w.results[i])
	}
	works.Put(w)
}

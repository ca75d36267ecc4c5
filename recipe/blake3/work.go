package blake3

import (
	"sync"
	"unsafe"
)

// Flags of a compression.
const (
	chunkStart = 1
	chunkEnd   = 2
	parent     = 4
	root       = 8
)

// compressor compresses up to blocks blocks of each of the lanes that are used, and stores their chaining values in
// the order of the lanes. blocks is at least one, and every lane's input has as many, used or not.
type compressor func(out *[width]hash, l *lanes, used, blocks int)

// compress is the compressor in use; nil if there is none.
var compress = best(compressors)

func best(found []compressor) compressor {
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// lanes are the inputs of a compressor. The assembler code knows where each field lies.
type lanes struct {
	in      [width]unsafe.Pointer // the lane's blocks, one after the other
	counter [width]uint32
	blocks  [width]uint32 // how many; 0 for a lane that is not used
	last    [width]uint32 // flags of the last block
	first   [width]uint32 // flags of the first block
	length  [width]uint32 // bytes of the last block
}

// hash is a chaining value: of a leaf, of a pair, or the result.
type hash = [32]byte

// tree is what is left of one piece: n nodes from at on.
type tree struct {
	at, n int
	out   *hash
}

// work is room for one call of Sums.
type work struct {
	lanes lanes
	used  int          // lanes
	most  int          // blocks of the longest lane
	to    [width]*hash // where each lane's result goes
	sums  [width]hash
	pads  [width][leafLen]byte // copies of short leaves, zeros behind

	trees   []tree
	nodes   []hash // of the level that is being read
	above   []hash // of the level that is being made
	results []hash // of the pieces
}

var works = sync.Pool{New: func() any { return new(work) }}

// begin makes room for a number of pieces that have this many leaves together.
func (w *work) begin(pieces, leaves int) {
	if cap(w.results) < pieces {
		w.results = make([]hash, pieces)
	}
	w.results = w.results[:pieces]
	if cap(w.nodes) < leaves {
		w.nodes, w.above = make([]hash, leaves), make([]hash, leaves)
	}
	w.nodes, w.above = w.nodes[:leaves], w.above[:leaves]
}

// finish goes up from the leaves that were added.
func (w *work) finish() {
	w.flush()
	for len(w.trees) > 0 {
		w.addPairs()
		w.flush()
		w.nodes, w.above = w.above, w.nodes
	}
	clear(w.lanes.in[:]) // the data is not ours to hold
}

// addLeaves gives a piece's leaves to the lanes, and says how many they are. Their hashes go to the
// nodes from at on, or to out if there is just one.
func (w *work) addLeaves(out *hash, data []byte, at int) int {
	if len(data) <= leafLen {
		w.addLeaf(out, data, 0, root)
		return 1
	}
	n := 0
	for ; len(data) > 0; n++ {
		size := min(len(data), leafLen)
		w.addLeaf(&w.nodes[at+n], data[:size], n, 0)
		data = data[size:]
	}
	w.trees = append(w.trees, tree{at: at, n: n, out: out})
	return n
}

func (w *work) addLeaf(to *hash, leaf []byte, number int, flags uint32) {
	blocks := max(1, (len(leaf)+blockLen-1)/blockLen)
	i := w.used
	in := unsafe.Pointer(unsafe.SliceData(leaf))
	if len(leaf) < leafLen {
		clear(w.pads[i][copy(w.pads[i][:], leaf):])
		in = unsafe.Pointer(&w.pads[i])
	}
	l := &w.lanes
	l.in[i], l.counter[i], l.blocks[i] = in, uint32(number), uint32(blocks)
	l.first[i], l.last[i] = chunkStart, chunkEnd|flags
	l.length[i] = uint32(len(leaf) - (blocks-1)*blockLen)
	w.add(to, blocks)
}

// addPairs gives one level of all trees to the lanes. Trees that end with it are dropped.
func (w *work) addPairs() {
	live := w.trees[:0]
	for _, t := range w.trees {
		if t.n == 2 {
			w.addPair(t.out, &w.nodes[t.at], root)
			continue
		}
		for i := 0; i+1 < t.n; i += 2 {
			w.addPair(&w.above[t.at+i/2], &w.nodes[t.at+i], 0)
		}
		if t.n%2 == 1 {
			w.above[t.at+t.n/2] = w.nodes[t.at+t.n-1]
		}
		t.n -= t.n / 2
		live = append(live, t)
	}
	w.trees = live
}

// addPair gives two nodes that lie side by side to a lane.
func (w *work) addPair(to, nodes *hash, flags uint32) {
	i, l := w.used, &w.lanes
	l.in[i], l.counter[i], l.blocks[i] = unsafe.Pointer(nodes), 0, 1
	l.first[i], l.last[i], l.length[i] = parent, flags, blockLen
	w.add(to, 1)
}

// add counts a lane whose inputs are set.
func (w *work) add(to *hash, blocks int) {
	w.to[w.used] = to
	w.used, w.most = w.used+1, max(w.most, blocks)
	if w.used == width {
		w.flush()
	}
}

// flush compresses what the lanes have.
func (w *work) flush() {
	if w.used == 0 {
		return
	}
	for i := w.used; i < width; i++ {
		w.lanes.in[i], w.lanes.blocks[i] = w.lanes.in[0], 0
	}
	compress(&w.sums, &w.lanes, w.used, w.most)
	for i := range w.used {
		*w.to[i] = w.sums[i]
	}
	w.used, w.most = 0, 0
}

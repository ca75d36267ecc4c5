package recipe

import (
	"github.com/zeebo/blake3"
)

// Put takes a finished node, for its id. The bytes are used again after it returns.
type Put func(kind Kind, raw []byte) (ID, error)

// Cuts are made by content, so that an edit moves only the cuts near it: after a name whose BLAKE3
// has cutDirBits low zero bits, a directory reference whose id has them, or a chunk or list
// reference whose id has cutListBits. The low bits are those of the first 8 bytes, little endian.
const (
	cutDirBits  = 9
	cutListBits = 6
)

func cutsAfter(id ID, bits uint) bool { return id.low64()&(1<<bits-1) == 0 }

// DirBuilder makes the nodes of one directory out of its sorted entries. It holds at most one node
// a level in memory.
type DirBuilder struct {
	put    Put
	leaf   *entrySegment
	cut    bool // the leaf ends after its last entry
	levels []dirLevel
	err    error
}

// dirLevel are the references that wait to become a node, one level above them.
type dirLevel struct {
	refs []NodeRef
	sums sums
	cut  bool
	put  int // nodes made so far
}

// NewDirBuilder makes a builder whose nodes go to put.
func NewDirBuilder(mask Mask, put Put) *DirBuilder {
	return &DirBuilder{put: put, leaf: newEntrySegment(mask)}
}

// Add takes the next entry, whose name must come after the last one's. After an error the builder
// is of no more use.
func (b *DirBuilder) Add(e *Entry) error {
	if b.err == nil {
		b.err = b.add(e)
	}
	return b.err
}

func (b *DirBuilder) add(e *Entry) error {
	if b.cut || b.leaf.count == maxDirEntries {
		if err := b.flushLeaf(); err != nil {
			return err
		}
	}
	before := *b.leaf
	if err := b.leaf.add(e); err != nil {
		return err
	}
	if len(b.leaf.buf) > maxDirNodeSize && before.count > 0 {
		b.leaf.buf, b.leaf.st, b.leaf.sums = b.leaf.buf[:len(before.buf)], before.st, before.sums
		b.leaf.count, b.leaf.prev = before.count, before.prev
		if err := b.flushLeaf(); err != nil {
			return err
		}
		if err := b.leaf.add(e); err != nil {
			return err
		}
	}
	b.cut = b.leaf.count >= minDirEntries && cutsAfter(blake3.Sum256([]byte(e.Name)), cutDirBits)
	return nil
}

func (b *DirBuilder) flushLeaf() error {
	id, err := b.put(KindDir, b.leaf.buf)
	if err != nil {
		return err
	}
	ref := newNodeRef(id, 0, len(b.leaf.buf), b.leaf.sums)
	b.leaf.reset()
	b.cut = false
	return b.addRef(0, ref)
}

func newNodeRef(id ID, level uint8, rawLen int, s sums) NodeRef {
	return NodeRef{ID: id, RawLen: uint32(rawLen), Level: level, Entries: s.entries, Bytes: s.bytes, Chunks: s.chunks}
}

// addRef takes a reference of level n.
func (b *DirBuilder) addRef(n int, ref NodeRef) error {
	if n == len(b.levels) {
		b.levels = append(b.levels, dirLevel{})
	}
	if b.levels[n].cut || len(b.levels[n].refs) == maxDirEntries {
		if err := b.flushRefs(n); err != nil {
			return err
		}
	}
	l := &b.levels[n]
	if !l.sums.add(sums{ref.Entries, ref.Bytes, ref.Chunks}) {
		return bad("", "sums of the directory leave 63 bits")
	}
	l.refs = append(l.refs, ref)
	l.cut = len(l.refs) >= minDirEntries && cutsAfter(ref.ID, cutDirBits)
	return nil
}

// flushRefs makes a node out of the waiting references of level n.
func (b *DirBuilder) flushRefs(n int) error {
	l := &b.levels[n]
	raw, err := EncodeNodeRefs(l.refs)
	if err != nil {
		return err
	}
	id, err := b.put(KindDir, raw)
	if err != nil {
		return err
	}
	ref := newNodeRef(id, uint8(n+1), len(raw), l.sums)
	l.refs, l.sums, l.cut = l.refs[:0], sums{}, false
	l.put++
	return b.addRef(n+1, ref)
}

// Finish makes the last nodes and returns the reference for the directory's entry: the zero
// NodeRef if nothing was added.
func (b *DirBuilder) Finish() (NodeRef, error) {
	if b.err != nil {
		return NodeRef{}, b.err
	}
	if b.leaf.count > 0 {
		if b.err = b.flushLeaf(); b.err != nil {
			return NodeRef{}, b.err
		}
	}
	for n := 0; n < len(b.levels); n++ {
		if l := &b.levels[n]; l.put == 0 && len(l.refs) == 1 {
			return l.refs[0], nil
		}
		if b.err = b.flushRefs(n); b.err != nil {
			return NodeRef{}, b.err
		}
	}
	return NodeRef{}, nil
}

// ListBuilder makes the nodes of one file's chunk list. It holds at most one node a level in memory.
type ListBuilder struct {
	put    Put
	levels []listLevel
	err    error
}

type listLevel struct {
	refs []Ref
	cut  bool
	put  int // nodes made so far
}

// NewListBuilder makes a builder whose nodes go to put.
func NewListBuilder(put Put) *ListBuilder { return &ListBuilder{put: put} }

// Add takes the next chunk or hole of the file. Holes side by side become one. After an error the
// builder is of no more use.
func (b *ListBuilder) Add(ref Ref) error {
	if b.err != nil {
		return b.err
	}
	if b.err = checkRef(0, &ref); b.err != nil {
		return b.err
	}
	if ref.Hole && b.growHole(ref.Bytes) {
		return nil
	}
	b.err = b.add(0, ref)
	return b.err
}

// growHole lengthens the hole that ends the list, if one does.
func (b *ListBuilder) growHole(n int64) bool {
	if len(b.levels) == 0 || len(b.levels[0].refs) == 0 {
		return false
	}
	last := &b.levels[0].refs[len(b.levels[0].refs)-1]
	if !last.Hole || last.Bytes+n < 0 {
		return false
	}
	last.Bytes += n
	return true
}

func (b *ListBuilder) add(n int, ref Ref) error {
	if n == len(b.levels) {
		b.levels = append(b.levels, listLevel{})
	}
	if b.levels[n].cut || len(b.levels[n].refs) == maxListRefs {
		if err := b.flush(n); err != nil {
			return err
		}
	}
	l := &b.levels[n]
	l.refs = append(l.refs, ref)
	l.cut = len(l.refs) >= minListRefs && !ref.Hole && cutsAfter(ref.ID, cutListBits)
	return nil
}

func (b *ListBuilder) flush(n int) error {
	l := List{Level: uint8(n), Refs: b.levels[n].refs}
	raw, err := EncodeList(l)
	if err != nil {
		return err
	}
	s, ok := l.sums()
	if !ok {
		return bad("", "list of more than 63 bits of bytes")
	}
	id, err := b.put(KindList, raw)
	if err != nil {
		return err
	}
	b.levels[n].refs, b.levels[n].cut = b.levels[n].refs[:0], false
	b.levels[n].put++
	return b.add(n+1, Ref{ID: id, Bytes: int64(s.bytes), Chunks: s.chunks})
}

// Finish makes the last nodes and returns what lies in the file's entry: at most MaxRefs
// references, none for an empty file.
func (b *ListBuilder) Finish() (List, error) {
	if b.err != nil {
		return List{}, b.err
	}
	for n := 0; n < len(b.levels); n++ {
		if l := &b.levels[n]; l.put == 0 && len(l.refs) <= MaxRefs {
			return List{Level: uint8(n), Refs: l.refs}, nil
		}
		if b.err = b.flush(n); b.err != nil {
			return List{}, b.err
		}
	}
	return List{}, nil
}

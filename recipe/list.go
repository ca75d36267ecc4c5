package recipe

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// maxLevel bounds how far lists and directories nest segments in segments.
const maxLevel = 15

// A list node is its kind, its level, and its references up to the end:
//
//	level 0:  uvarint(length<<1 | hole), id of the chunk unless it is a hole
//	level n:  id of a list node of level n-1, uvarint bytes, uvarint chunks
//
// The same references without the two bytes lie in a file's entry.

// AppendList appends the node that holds l.
func AppendList(dst []byte, l List) ([]byte, error) {
	if err := checkRefs(l, maxListRefs); err != nil {
		return dst, err
	}
	return appendRefs(append(dst, byte(KindList), l.Level), l), nil
}

// EncodeList is the node that holds l: 1 to 512 references of one level.
func EncodeList(l List) ([]byte, error) { return AppendList(nil, l) }

// DecodeList reads a list node.
func DecodeList(raw []byte) (List, error) {
	if len(raw) > MaxNode {
		return List{}, over("node", "", MaxNode, len(raw))
	}
	if len(raw) < 2 || raw[0] != byte(KindList) {
		return List{}, bad("", "not a list node")
	}
	r := byteReader{raw: raw, pos: 2}
	l := List{Level: raw[1], Refs: make([]Ref, 0, min(len(raw)/34+1, maxListRefs))}
	if l.Level > maxLevel {
		return List{}, over("list level", "", maxLevel, int(l.Level))
	}
	for r.left() > 0 {
		if len(l.Refs) == maxListRefs {
			return List{}, over("number of references in a list node", "", maxListRefs, maxListRefs+1)
		}
		l.Refs = append(l.Refs, r.ref(l.Level))
	}
	if r.bad != "" {
		return List{}, bad("", "list node: %s", r.bad)
	}
	again, err := AppendList(make([]byte, 0, len(raw)), l)
	if err != nil {
		return List{}, err
	}
	if !bytes.Equal(again, raw) {
		return List{}, bad("", "list node is not in its one encoding")
	}
	return l, nil
}

func appendRefs(dst []byte, l List) []byte {
	for i := range l.Refs {
		dst = appendRef(dst, l.Level, &l.Refs[i])
	}
	return dst
}

func appendRef(dst []byte, level uint8, ref *Ref) []byte {
	switch {
	case level > 0:
		dst = append(dst, ref.ID[:]...)
		dst = binary.AppendUvarint(dst, uint64(ref.Bytes))
		return binary.AppendUvarint(dst, ref.Chunks)
	case ref.Hole:
		return binary.AppendUvarint(dst, uint64(ref.Bytes)<<1|1)
	}
	dst = binary.AppendUvarint(dst, uint64(ref.Bytes)<<1)
	return append(dst, ref.ID[:]...)
}

func (r *byteReader) ref(level uint8) (ref Ref) {
	if level > 0 {
		ref.ID = r.id()
		ref.Bytes = r.int63()
		ref.Chunks = uint64(r.int63())
		return ref
	}
	n := r.uvarint()
	ref.Bytes, ref.Hole = int64(n>>1), n&1 == 1
	if !ref.Hole {
		ref.ID, ref.Chunks = r.id(), 1
	}
	return ref
}

// checkRefs says what is wrong with a list of at most max references.
func checkRefs(l List, max int) error {
	switch {
	case l.Level > maxLevel:
		return over("list level", "", maxLevel, int(l.Level))
	case len(l.Refs) == 0:
		return bad("", "list without references")
	case len(l.Refs) > max:
		return over("number of references in a list", "", max, len(l.Refs))
	}
	hole := false
	for i := range l.Refs {
		ref := &l.Refs[i]
		if err := checkRef(l.Level, ref); err != nil {
			return err
		}
		if hole && ref.Hole {
			return bad("", "two holes side by side")
		}
		hole = ref.Hole
	}
	return nil
}

func checkRef(level uint8, ref *Ref) error {
	switch {
	case ref.Bytes <= 0:
		return bad("", "reference of %d bytes", ref.Bytes)
	case ref.Hole:
		return checkHole(level, ref)
	case ref.ID.IsZero():
		return bad("", "reference with the zero id")
	case level > 0:
		if ref.Chunks > uint64(ref.Bytes) {
			return bad("", "reference to %d chunks in %d bytes", ref.Chunks, ref.Bytes)
		}
		return nil
	case ref.Chunks != 1:
		return bad("", "chunk that counts %d times", ref.Chunks)
	case ref.Bytes > MaxChunk:
		return &LimitError{What: "chunk", Entry: fmt.Sprint(ref.ID), Limit: MaxChunk, Got: uint64(ref.Bytes)}
	}
	return nil
}

func checkHole(level uint8, ref *Ref) error {
	switch {
	case level > 0:
		return bad("", "hole in an upper list")
	case !ref.ID.IsZero() || ref.Chunks != 0:
		return bad("", "hole with an id")
	case ref.Bytes < MinHole:
		return bad("", "hole of %d bytes; the shortest is %d", ref.Bytes, MinHole)
	}
	return nil
}

// sums are the bytes and chunks of a list. It says false if they leave 63 bits.
func (l *List) sums() (s sums, ok bool) {
	for i := range l.Refs {
		if !s.add(sums{bytes: uint64(l.Refs[i].Bytes), chunks: l.Refs[i].Chunks}) {
			return s, false
		}
	}
	return s, true
}

// Chunks counts the chunk references of a list, at any depth.
func (l *List) Chunks() (n uint64) {
	for i := range l.Refs {
		n += l.Refs[i].Chunks
	}
	return n
}

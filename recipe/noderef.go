package recipe

import (
	"bytes"
	"encoding/binary"
)

// A directory node of level n > 0 is its kind, its level, and its references up to the end:
//
//	uvarint entries, id, uvarint raw length, level, uvarint bytes, uvarint chunks
//
// where the level is always one less than the node's.

// EncodeNodeRefs is the directory node that holds refs: 1 to 4096, all of one level.
func EncodeNodeRefs(refs []NodeRef) ([]byte, error) {
	if len(refs) == 0 {
		return nil, bad("", "directory node without references")
	}
	return AppendNodeRefs(nil, refs)
}

// AppendNodeRefs appends the directory node that holds refs.
func AppendNodeRefs(dst []byte, refs []NodeRef) ([]byte, error) {
	switch {
	case len(refs) == 0:
		return dst, bad("", "directory node without references")
	case len(refs) > maxDirEntries:
		return dst, over("number of references in a directory node", "", maxDirEntries, len(refs))
	case refs[0].Level >= maxLevel:
		return dst, over("directory level", "", maxLevel, int(refs[0].Level)+1)
	}
	dst = append(dst, byte(KindDir), refs[0].Level+1)
	for i := range refs {
		if err := checkNodeRef(&refs[i]); err != nil {
			return dst, err
		}
		if refs[i].Level != refs[0].Level {
			return dst, bad("", "references of levels %d and %d in one node", refs[0].Level, refs[i].Level)
		}
		dst = appendNodeRefTail(binary.AppendUvarint(dst, refs[i].Entries), &refs[i])
	}
	return dst, nil
}

func appendNodeRefTail(dst []byte, n *NodeRef) []byte {
	dst = append(dst, n.ID[:]...)
	dst = binary.AppendUvarint(dst, uint64(n.RawLen))
	dst = append(dst, n.Level)
	dst = binary.AppendUvarint(dst, n.Bytes)
	return binary.AppendUvarint(dst, n.Chunks)
}

func (r *byteReader) nodeRefTail(n *NodeRef) {
	n.ID = r.id()
	n.RawLen = r.uint32()
	n.Level = r.byte()
	n.Bytes = uint64(r.int63())
	n.Chunks = uint64(r.int63())
}

// DecodeNodeRefs reads a directory node of level 1 or more.
func DecodeNodeRefs(raw []byte) ([]NodeRef, error) {
	switch {
	case len(raw) > MaxNode:
		return nil, over("node", "", MaxNode, len(raw))
	case len(raw) < 2 || raw[0] != byte(KindDir) || raw[1] == 0:
		return nil, bad("", "not a node of references")
	}
	r := byteReader{raw: raw, pos: 2}
	refs := make([]NodeRef, 0, min(len(raw)/38+1, maxDirEntries))
	for r.left() > 0 {
		if len(refs) == maxDirEntries {
			return nil, over("number of references in a directory node", "", maxDirEntries, maxDirEntries+1)
		}
		n := NodeRef{Entries: uint64(r.int63())}
		r.nodeRefTail(&n)
		refs = append(refs, n)
	}
	if r.bad != "" {
		return nil, bad("", "directory node: %s", r.bad)
	}
	again, err := AppendNodeRefs(make([]byte, 0, len(raw)), refs)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, raw) {
		return nil, bad("", "directory node is not in its one encoding")
	}
	return refs, nil
}

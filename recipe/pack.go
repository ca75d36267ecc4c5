package recipe

import (
	"encoding/binary"
	"io"
	"path/filepath"
	"strings"
)

// A pack of a NodeCache is a magic and records up to the end: id, kind, raw length and encoded
// length in 4 bytes big endian, and the bytes as EncodeNode makes them. The last record may be torn.
const (
	packMagic    = "DFNODES2"
	packHeadSize = 32 + 1 + 4 + 4
)

type packHead struct {
	id             ID
	kind           Kind
	rawLen, encLen uint32
}

func (h *packHead) sound() bool {
	return h.kind.valid() && h.rawLen > 0 && h.rawLen <= MaxNode && h.encLen <= h.rawLen
}

func appendPacked(dst []byte, kind Kind, id ID, raw []byte) []byte {
	enc := encodeNode(cacheEncoder(), raw)
	dst = append(append(dst, id[:]...), byte(kind))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(raw)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(enc)))
	return append(dst, enc...)
}

func parseHead(b []byte) (h packHead) {
	copy(h.id[:], b)
	h.kind = Kind(b[32])
	h.rawLen = binary.BigEndian.Uint32(b[33:])
	h.encLen = binary.BigEndian.Uint32(b[37:])
	return h
}

// scanPack calls fn with the head and place of each whole record, until it says false, a record is
// torn, or a head makes no sense. It reads the heads alone.
func scanPack(r io.ReaderAt, size int64, fn func(h packHead, off int64) bool) {
	var magic [len(packMagic)]byte
	if n, _ := r.ReadAt(magic[:], 0); n < len(magic) || string(magic[:]) != packMagic {
		return
	}
	var buf [packHeadSize]byte
	for off := int64(len(magic)); off+packHeadSize <= size; {
		if n, _ := r.ReadAt(buf[:], off); n < len(buf) {
			return
		}
		h := parseHead(buf[:])
		next := off + packHeadSize + int64(h.encLen)
		if !h.sound() || next > size || !fn(h, off) {
			return
		}
		off = next
	}
}

// readPacked reads the node at off, which should be of that kind and id. The bytes themselves are
// for the caller to check.
func readPacked(r io.ReaderAt, off int64, kind Kind, id ID) ([]byte, error) {
	var buf [packHeadSize]byte
	if n, err := r.ReadAt(buf[:], off); n < len(buf) {
		return nil, err
	}
	h := parseHead(buf[:])
	if !h.sound() || h.kind != kind || h.id != id {
		return nil, bad("", "damaged record in a pack of nodes")
	}
	enc := make([]byte, h.encLen)
	if n, err := r.ReadAt(enc, off+packHeadSize); n < len(enc) {
		return nil, err
	}
	return DecodeNode(enc, int(h.rawLen))
}

// globEscape makes a directory's name safe inside a pattern.
func globEscape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(filepath.Clean(dir))
}

package recipe

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	zeebo "github.com/zeebo/blake3"

	"dfetch/recipe/blake3"
)

// text is the base 32 of RFC 4648 in lower case and without padding: 52 characters an id.
var text = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const textLen = 52

// domain is what a node's bytes are prefixed with when they are hashed.
var domain = [...]string{
	KindRoot:  "dfr1/root\x00",
	KindDir:   "dfr1/dir\x00",
	KindList:  "dfr1/list\x00",
	KindXattr: "dfr1/xattr\x00",
}

func (k Kind) valid() bool { return k >= KindRoot && k <= KindXattr }

func (k Kind) String() string {
	if !k.valid() {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	d := domain[k]
	return d[len("dfr1/") : len(d)-1]
}

// Valid says whether h is a hash of the format.
func (h Hash) Valid() bool { return h == BLAKE3 || h == SHA256 }

func (h Hash) String() string {
	switch h {
	case BLAKE3:
		return "b3"
	case SHA256:
		return "s2"
	}
	return fmt.Sprintf("hash %d", uint8(h))
}

// Chunk is the id of a chunk: the plain hash of its bytes. It panics if h is not valid.
func (h Hash) Chunk(data []byte) ID {
	switch h {
	case BLAKE3:
		return blake3.Sum256(data)
	case SHA256:
		return sha256.Sum256(data)
	}
	panic("recipe: " + h.String())
}

// Chunks stores the ids of chunks that lie in data one after the other, lens[i] bytes each, in ids. It is
// faster than Chunk for each. It panics if h is not valid, ids is shorter than lens, or data than the chunks.
func (h Hash) Chunks(ids []ID, data []byte, lens []uint32) {
	if h == BLAKE3 {
		blake3.Sums(ids, data, lens)
		return
	}
	for i, n := range lens {
		ids[i] = h.Chunk(data[:n])
		data = data[n:]
	}
}

// Node is the id of a node: the hash of its kind's name, a NUL and its bytes. It panics if h or k
// is not valid.
func (h Hash) Node(k Kind, raw []byte) (id ID) {
	if !k.valid() {
		panic("recipe: " + k.String())
	}
	switch h {
	case BLAKE3:
		d := zeebo.New()
		_, _ = d.WriteString(domain[k])
		_, _ = d.Write(raw)
		d.Sum(id[:0])
	case SHA256:
		d := sha256.New()
		_, _ = d.Write([]byte(domain[k]))
		_, _ = d.Write(raw)
		d.Sum(id[:0])
	default:
		panic("recipe: " + h.String())
	}
	return id
}

// IsZero says whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String is the text form of a BLAKE3 id. FormatID is for ids of either hash.
func (id ID) String() string { return FormatID(BLAKE3, id) }

// low64 are the bits that decide where lists and directories are cut.
func (id ID) low64() uint64 { return binary.LittleEndian.Uint64(id[:8]) }

// FormatID is the text form of an id: the hash's name, "-", and base 32 in lower case.
func FormatID(h Hash, id ID) string { return h.String() + "-" + text.EncodeToString(id[:]) }

// ParseID reads what FormatID wrote, and nothing else: an id has one text form.
func ParseID(s string) (Hash, ID, error) {
	alg, digits, ok := strings.Cut(s, "-")
	var h Hash
	switch {
	case ok && alg == "b3":
		h = BLAKE3
	case ok && alg == "s2":
		h = SHA256
	default:
		return 0, ID{}, bad("", "id %.80q starts with neither b3- nor s2-", s)
	}
	sum, err := parseText(digits)
	if err != nil {
		return 0, ID{}, bad("", "id %.80q: %v", s, err)
	}
	return h, sum, nil
}

// parseText reads 52 characters of base 32 as 32 bytes.
func parseText(digits string) (sum [32]byte, err error) {
	if len(digits) != textLen {
		return sum, fmt.Errorf("%d characters of base 32 where %d belong", len(digits), textLen)
	}
	b, err := text.DecodeString(digits)
	if err != nil || len(b) != len(sum) || text.EncodeToString(b) != digits {
		return sum, fmt.Errorf("not base 32 (a-z, 2-7)")
	}
	copy(sum[:], b)
	return sum, nil
}

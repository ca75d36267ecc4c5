package recipe

import (
	"bytes"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Version is the format's version: the 1 in dfr1.
const Version = 1

// knownFeatures are the bits of Root.Features that this package understands.
const knownFeatures = 0

// Bounds of chunker parameters.
const minMinChunk = 64

// chunkers are the registered profiles' names and polynomials.
var chunkers = map[string]uint64{Rabin16.Name: Rabin16.Polynomial}

// wireRoot is Root as CBOR: its top entry is a byte string in the encoding of entries.
type wireRoot struct {
	Version  uint16  `cbor:"1,keyasint"`
	Features uint64  `cbor:"2,keyasint"`
	Hash     Hash    `cbor:"3,keyasint"`
	Profile  Profile `cbor:"4,keyasint"`
	Mask     Mask    `cbor:"5,keyasint"`
	Counts   Counts  `cbor:"6,keyasint"`
	Top      []byte  `cbor:"7,keyasint"`
}

// cborModes are the deterministic encoding of RFC 8949 §4.2 and a decoder with bounds.
var cborModes = sync.OnceValue(func() (m struct {
	cbor.EncMode
	cbor.DecMode
}) {
	var err error
	if m.EncMode, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		panic(err)
	}
	m.DecMode, err = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  maxAttachments,
		MaxMapPairs:       64,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
})

// Validate says what is wrong with a profile: its name or polynomial is not registered, or its
// parameters break 64 ≤ min ≤ average ≤ max ≤ 16 MiB.
func (p Profile) Validate() error {
	polynomial, ok := chunkers[p.Name]
	switch {
	case !ok:
		return bad("", "chunker %.40q is not registered", p.Name)
	case p.Polynomial != polynomial:
		return bad("", "polynomial %#x is not registered for chunker %s", p.Polynomial, p.Name)
	case p.Min < minMinChunk:
		return bad("", "chunker's minimum of %d bytes is below %d", p.Min, minMinChunk)
	case p.AvgBits > 24 || p.Min > 1<<p.AvgBits || 1<<p.AvgBits > p.Max:
		return bad("", "chunker's parameters %d, 2^%d, %d do not rise", p.Min, p.AvgBits, p.Max)
	case p.Max > MaxChunk:
		return over("chunker's maximum", "", MaxChunk, int(p.Max))
	}
	return nil
}

// Encode is the root node. It fails if DecodeRoot would refuse it.
func (r *Root) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	raw, err := cborModes().Marshal(wireRoot{r.Version, r.Features, r.Hash, r.Profile, r.Mask, r.Counts,
		appendEntry(nil, &entryState{}, &r.Top, r.Mask)})
	if err != nil {
		return nil, &FormatError{What: "root", Err: err}
	}
	if len(raw) > MaxRoot {
		return nil, over("root", "", MaxRoot, len(raw))
	}
	return raw, nil
}

// DecodeRoot reads a root node. It does not know the id that the bytes should have: OpenRoot does.
func DecodeRoot(raw []byte) (*Root, error) {
	if len(raw) > MaxRoot {
		return nil, over("root", "", MaxRoot, len(raw))
	}
	var w wireRoot
	if err := cborModes().Unmarshal(raw, &w); err != nil {
		return nil, &FormatError{What: "root is not readable", Err: err}
	}
	r := &Root{Version: w.Version, Features: w.Features, Hash: w.Hash, Profile: w.Profile, Mask: w.Mask, Counts: w.Counts}
	if err := r.checkHead(); err != nil {
		return nil, err
	}
	d := entryDecoder{r: newByteReader(w.Top), mask: r.Mask, top: true}
	if ok, err := d.next(&r.Top); err != nil || !ok || d.r.left() > 0 {
		return nil, &FormatError{What: "top entry of the root", Err: err}
	}
	again, err := r.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, raw) {
		return nil, bad("", "root is not in its one encoding")
	}
	return r, nil
}

// OpenRoot checks raw against an id, as an address names it, and reads it.
func OpenRoot(raw []byte, h Hash, id ID) (*Root, error) {
	if !h.Valid() {
		return nil, bad("", "unknown %s", h)
	}
	if len(raw) > MaxRoot {
		return nil, over("root", "", MaxRoot, len(raw))
	}
	if got := h.Node(KindRoot, raw); got != id {
		return nil, bad("", "root has the id %s, not %s", FormatID(h, got), FormatID(h, id))
	}
	r, err := DecodeRoot(raw)
	if err != nil {
		return nil, err
	}
	if r.Hash != h {
		return nil, bad("", "root of id %s is made with %s", FormatID(h, id), r.Hash)
	}
	return r, nil
}

// RootID is the id of a recipe: that of its root node, under the hash that the root names.
func RootID(raw []byte, h Hash) ID { return h.Node(KindRoot, raw) }

func (r *Root) check() error {
	if err := r.checkHead(); err != nil {
		return err
	}
	if err := checkEntry(&r.Top, r.Mask, true); err != nil {
		return err
	}
	return r.checkCounts()
}

func (r *Root) checkHead() error {
	switch {
	case r.Version != Version:
		return bad("", "format version %d; this program knows %d", r.Version, Version)
	case r.Features&^knownFeatures != 0:
		return bad("", "required features %#x are unknown", r.Features&^knownFeatures)
	case !r.Hash.Valid():
		return bad("", "unknown %s", r.Hash)
	case r.Mask < MaskPortable || r.Mask > MaskFull:
		return bad("", "unknown metadata mask %d", r.Mask)
	}
	return r.Profile.Validate()
}

// checkCounts compares the counts with what the top entry declares.
func (r *Root) checkCounts() error {
	s, c := r.Top.sums(), r.Counts
	switch {
	case c.Entries != s.entries || c.Bytes != s.bytes || c.Chunks != s.chunks:
		return bad("", "root counts %d entries, %d bytes, %d chunks; its tree declares %d, %d, %d",
			c.Entries, c.Bytes, c.Chunks, s.entries, s.bytes, s.chunks)
	case c.Files > c.Entries || c.Dirs > c.Entries-c.Files:
		return bad("", "root counts %d files and %d directories in %d entries", c.Files, c.Dirs, c.Entries)
	case c.DataBytes > c.Bytes:
		return bad("", "root counts %d bytes of data in %d", c.DataBytes, c.Bytes)
	case r.Top.Type == TypeFile && (c.Files != 1 || c.Dirs != 0), r.Top.Type == TypeDir && c.Dirs == 0:
		return bad("", "root counts %d files and %d directories", c.Files, c.Dirs)
	}
	return nil
}

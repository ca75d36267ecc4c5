package recipe

import (
	"bytes"
	"encoding/binary"
)

// A directory node of level 0 is its kind, a zero, and its entries up to the end. An entry is
//
//	flags    type | sameMode | sameMTime | sameOwner | hasXattrs | hasDigests
//	name     uvarint length, bytes
//	mode     uvarint, unless same; not for symlinks and hardlinks
//	mtime    zigzag of the difference to the last one, unless same; not for hardlinks
//	owner    uvarint uid, uvarint gid, user, group, unless same; masks unix and full, not for hardlinks
//	xattrs   id, if hasXattrs
//	file     uvarint size; up to 48 bytes the content, above it level, number of references, references
//	dir      uvarint entries; unless 0: id, uvarint raw length, level, uvarint bytes, uvarint chunks
//	symlink, hardlink   target
//	char, block         uvarint device number
//	digests  number, then for each its algorithm's number and its sum
//
// "Same" means equal to the last entry of the node that has the field, or to zero if there is none.
const (
	typeBits   = 7
	sameMode   = 1 << 3
	sameMTime  = 1 << 4
	sameOwner  = 1 << 5
	hasXattrs  = 1 << 6
	hasDigests = 1 << 7
)

// entryState is what "same" and mtime differences refer to.
type entryState struct {
	mode  uint32
	mtime int64
	owner owner
}

type owner struct {
	uid, gid    uint32
	user, group string
}

func (e *Entry) owner() owner { return owner{e.UID, e.GID, e.User, e.Group} }

func (e *Entry) hasMode() bool { return e.Type != TypeSymlink && e.Type != TypeHardlink }

// Chunks counts the chunk references of an entry itself: those of a file's content.
func (e *Entry) Chunks() uint64 {
	if e.Type != TypeFile {
		return 0
	}
	return e.Content.Chunks()
}

// sums are what an entry adds to its directory: itself and, for a directory, what is below it.
func (e *Entry) sums() sums {
	switch e.Type {
	case TypeDir:
		return sums{e.Dir.Entries + 1, e.Dir.Bytes, e.Dir.Chunks}
	case TypeFile:
		return sums{1, uint64(e.Size), e.Content.Chunks()}
	}
	return sums{entries: 1}
}

// appendEntry appends an entry that checkEntry passed.
func appendEntry(dst []byte, st *entryState, e *Entry, mask Mask) []byte {
	at := len(dst)
	dst = appendString(append(dst, byte(e.Type)), e.Name)
	var flags byte
	if e.hasMode() {
		if e.Mode == st.mode {
			flags |= sameMode
		} else {
			dst = binary.AppendUvarint(dst, uint64(e.Mode))
		}
		st.mode = e.Mode
	}
	if e.Type != TypeHardlink {
		if e.MTime == st.mtime {
			flags |= sameMTime
		} else {
			dst = binary.AppendUvarint(dst, zigzag(e.MTime-st.mtime))
		}
		st.mtime = e.MTime
	}
	if o := e.owner(); mask >= MaskUnix && e.Type != TypeHardlink {
		if o == st.owner {
			flags |= sameOwner
		} else {
			dst = appendOwner(dst, o)
		}
		st.owner = o
	}
	if !e.Xattrs.IsZero() {
		flags |= hasXattrs
		dst = append(dst, e.Xattrs[:]...)
	}
	dst = appendBody(dst, e)
	if e.Type == TypeFile && len(e.Digests) > 0 {
		flags |= hasDigests
		dst = appendDigests(dst, e.Digests)
	}
	dst[at] |= flags
	return dst
}

func appendOwner(dst []byte, o owner) []byte {
	dst = binary.AppendUvarint(dst, uint64(o.uid))
	dst = binary.AppendUvarint(dst, uint64(o.gid))
	return appendString(appendString(dst, o.user), o.group)
}

// appendBody appends what only entries of this type have.
func appendBody(dst []byte, e *Entry) []byte {
	switch e.Type {
	case TypeFile:
		dst = binary.AppendUvarint(dst, uint64(e.Size))
		if e.Size <= MaxInline {
			return append(dst, e.Inline...)
		}
		dst = append(dst, e.Content.Level, byte(len(e.Content.Refs)))
		return appendRefs(dst, e.Content)
	case TypeDir:
		dst = binary.AppendUvarint(dst, e.Dir.Entries)
		if e.Dir.Entries == 0 {
			return dst
		}
		return appendNodeRefTail(dst, &e.Dir)
	case TypeSymlink, TypeHardlink:
		return appendString(dst, e.Target)
	case TypeChar, TypeBlock:
		return binary.AppendUvarint(dst, e.Rdev)
	}
	return dst
}

func appendDigests(dst []byte, ds []Digest) []byte {
	dst = append(dst, byte(len(ds)))
	for _, d := range ds {
		dst = append(append(dst, digestNumber(d.Alg)), d.Sum...)
	}
	return dst
}

// entryDecoder reads the entries of one node one after the other.
type entryDecoder struct {
	r     byteReader
	mask  Mask
	top   bool // the entry is the root's, not a directory's
	st    entryState
	again byteEncoder
	prev  string
	count int
}

// byteEncoder encodes again what was decoded, to find what is not in its one encoding.
type byteEncoder struct {
	st  entryState
	buf []byte
}

// newEntryDecoder reads the head of a directory node of level 0.
func newEntryDecoder(raw []byte, mask Mask) (*entryDecoder, error) {
	switch {
	case len(raw) > MaxNode:
		return nil, over("node", "", MaxNode, len(raw))
	case len(raw) < 2 || raw[0] != byte(KindDir) || raw[1] != 0:
		return nil, bad("", "not a node of entries")
	case len(raw) == 2:
		return nil, bad("", "directory node without entries")
	}
	d := &entryDecoder{r: newByteReader(raw), mask: mask}
	d.r.pos = 2
	return d, nil
}

// next decodes into e, whose slices it uses again. It says false at the node's end.
func (d *entryDecoder) next(e *Entry) (bool, error) {
	if d.r.left() == 0 {
		return false, nil
	}
	if d.count++; d.count > maxDirEntries {
		return false, over("number of entries in a directory node", "", maxDirEntries, d.count)
	}
	start := d.r.pos
	if err := d.decode(e); err != nil {
		return false, err
	}
	if d.count > 1 && e.Name <= d.prev {
		return false, bad(e.Name, "name does not come after %q", d.prev)
	}
	d.prev = e.Name
	d.again.buf = appendEntry(d.again.buf[:0], &d.again.st, e, d.mask)
	if !bytes.Equal(d.again.buf, d.r.raw[start:d.r.pos]) {
		return false, bad(e.Name, "entry is not in its one encoding")
	}
	return true, nil
}

func (d *entryDecoder) decode(e *Entry) error {
	refs, digests := e.Content.Refs[:0], e.Digests[:0]
	*e = Entry{}
	r := &d.r
	flags := r.byte()
	e.Type = Type(flags & typeBits)
	if e.Type > TypeBlock {
		return bad("", "unknown type %d", e.Type)
	}
	var err error
	if e.Name, err = r.string("name", "", MaxName); err != nil {
		return err
	}
	if err := d.metadata(e, flags); err != nil {
		return err
	}
	if err := d.body(e, refs); err != nil {
		return err
	}
	if flags&hasDigests != 0 {
		if err := d.digests(e, digests); err != nil {
			return err
		}
	}
	if r.bad != "" {
		return bad(e.Name, "entry: %s", r.bad)
	}
	return checkEntry(e, d.mask, d.top)
}

func (d *entryDecoder) metadata(e *Entry, flags byte) error {
	r := &d.r
	if e.hasMode() {
		if flags&sameMode == 0 {
			d.st.mode = r.uint32()
		}
		e.Mode = d.st.mode
	}
	if e.Type != TypeHardlink {
		if flags&sameMTime == 0 {
			d.st.mtime += unzigzag(r.uvarint())
		}
		e.MTime = d.st.mtime
	}
	if d.mask >= MaskUnix && e.Type != TypeHardlink {
		if err := d.owner(e, flags); err != nil {
			return err
		}
	}
	if flags&hasXattrs != 0 {
		e.Xattrs = r.id()
	}
	return nil
}

func (d *entryDecoder) owner(e *Entry, flags byte) (err error) {
	if flags&sameOwner == 0 {
		o := &d.st.owner
		o.uid, o.gid = d.r.uint32(), d.r.uint32()
		if o.user, err = d.r.string("user name", e.Name, MaxName); err != nil {
			return err
		}
		if o.group, err = d.r.string("group name", e.Name, MaxName); err != nil {
			return err
		}
	}
	o := d.st.owner
	e.UID, e.GID, e.User, e.Group = o.uid, o.gid, o.user, o.group
	return nil
}

func (d *entryDecoder) body(e *Entry, refs []Ref) (err error) {
	switch e.Type {
	case TypeFile:
		return d.file(e, refs)
	case TypeDir:
		if e.Dir.Entries = uint64(d.r.int63()); e.Dir.Entries > 0 {
			d.r.nodeRefTail(&e.Dir)
		}
	case TypeSymlink:
		e.Target, err = d.r.string("symlink target", e.Name, MaxTarget)
	case TypeHardlink:
		e.Target, err = d.r.string("path", e.Name, MaxPath)
	case TypeChar, TypeBlock:
		e.Rdev = d.r.uvarint()
	}
	return err
}

func (d *entryDecoder) file(e *Entry, refs []Ref) error {
	e.Size = d.r.int63()
	switch {
	case e.Size == 0:
		return nil
	case e.Size <= MaxInline:
		e.Inline = d.r.take(int(e.Size))
		return nil
	}
	e.Content.Level = d.r.byte()
	n := int(d.r.byte())
	if n > MaxRefs {
		return over("number of references in an entry", e.Name, MaxRefs, n)
	}
	for range n {
		refs = append(refs, d.r.ref(e.Content.Level))
	}
	e.Content.Refs = refs
	return nil
}

func (d *entryDecoder) digests(e *Entry, into []Digest) error {
	n := int(d.r.byte())
	if n > maxDigests {
		return over("number of digests", e.Name, maxDigests, n)
	}
	for range n {
		alg := digestAlg(d.r.byte())
		into = append(into, Digest{Alg: alg, Sum: d.r.take(digestLen(alg))})
	}
	e.Digests = into
	return nil
}

// EncodeEntries is the directory node that holds entries: 1 to 4096, sorted by name.
func EncodeEntries(entries []Entry, mask Mask) ([]byte, error) {
	b := newEntrySegment(mask)
	for i := range entries {
		if err := b.add(&entries[i]); err != nil {
			return nil, err
		}
	}
	switch {
	case b.count == 0:
		return nil, bad("", "directory node without entries")
	case b.count > maxDirEntries:
		return nil, over("number of entries in a directory node", "", maxDirEntries, b.count)
	case len(b.buf) > MaxNode:
		return nil, over("node", "", MaxNode, len(b.buf))
	}
	return b.buf, nil
}

// DecodeEntries reads a directory node of level 0. Inline content and digests lie in raw.
func DecodeEntries(raw []byte, mask Mask) ([]Entry, error) {
	d, err := newEntryDecoder(raw, mask)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for {
		var e Entry
		ok, err := d.next(&e)
		if err != nil {
			return nil, err
		}
		if !ok {
			return out, nil
		}
		out = append(out, e)
	}
}

// entrySegment is a directory node of level 0 in the making.
type entrySegment struct {
	mask  Mask
	buf   []byte
	st    entryState
	prev  string
	count int
	sums  sums
}

func newEntrySegment(mask Mask) *entrySegment {
	s := &entrySegment{mask: mask}
	s.reset()
	return s
}

// reset starts the next node; prev stays, since names rise from node to node.
func (s *entrySegment) reset() {
	s.buf = append(s.buf[:0], byte(KindDir), 0)
	s.st, s.count, s.sums = entryState{}, 0, sums{}
}

func (s *entrySegment) add(e *Entry) error {
	if err := checkEntry(e, s.mask, false); err != nil {
		return err
	}
	if s.prev != "" && e.Name <= s.prev {
		return bad(e.Name, "name does not come after %q", s.prev)
	}
	if !s.sums.add(e.sums()) {
		return bad(e.Name, "sums of the directory leave 63 bits")
	}
	s.buf = appendEntry(s.buf, &s.st, e, s.mask)
	s.prev = e.Name
	s.count++
	return nil
}

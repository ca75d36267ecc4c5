package recipe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func file(size int64, l List) Entry {
	return Entry{Name: "f", Type: TypeFile, Size: size, Content: l}
}

func refsOf(n int, bytes int64) (l List) {
	for i := range n {
		l.Refs = append(l.Refs, Ref{ID: ID{byte(i), 1}, Bytes: bytes, Chunks: 1})
	}
	return l
}

func TestEveryLimitIsRefusedByName(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	xattrs := func(n int) (xs []Xattr) {
		for i := range n {
			xs = append(xs, Xattr{Name: fmt.Sprintf("user.%04d", i)})
		}
		return xs
	}
	entry := func(e Entry) error {
		_, err := EncodeEntries([]Entry{e}, MaskFull)
		return err
	}
	second := func(_ any, err error) error { return err }
	for what, err := range map[string]error{
		"name":                                  entry(Entry{Name: long(256), Type: TypeFile}),
		"symlink target":                        entry(Entry{Name: "l", Type: TypeSymlink, Target: long(4096)}),
		"user name":                             entry(Entry{Name: "f", Type: TypeFile, User: long(256)}),
		"group name":                            entry(Entry{Name: "f", Type: TypeFile, Group: long(256)}),
		"chunk":                                 entry(file(MaxChunk+1, refsOf(1, MaxChunk+1))),
		"number of references in a list":        entry(file(17*100, refsOf(17, 100))),
		"list level":                            entry(file(100, List{Level: 16, Refs: refsOf(1, 100).Refs})),
		"directory level":                       entry(Entry{Name: "d", Type: TypeDir, Dir: NodeRef{ID: ID{1}, RawLen: 9, Level: 16, Entries: 1}}),
		"node":                                  entry(Entry{Name: "d", Type: TypeDir, Dir: NodeRef{ID: ID{1}, RawLen: MaxNode + 1, Entries: 1}}),
		"number of digests":                     entry(Entry{Name: "f", Type: TypeFile, Digests: make([]Digest, 5)}),
		"number of references in a list ":       second(EncodeList(refsOf(513, 1))),
		"node ":                                 second(DecodeEntries(make([]byte, MaxNode+1), MaskFull)),
		"node  ":                                second(DecodeList(make([]byte, MaxNode+1))),
		"node   ":                               second(DecodeNodeRefs(make([]byte, MaxNode+1))),
		"node    ":                              second(DecodeXattrs(make([]byte, MaxNode+1))),
		"node     ":                             second(DecodeNode(nil, MaxNode+1)),
		"root":                                  second(DecodeRoot(make([]byte, MaxRoot+1))),
		"attachments":                           second(DecodeAttachments(make([]byte, MaxAttachments+1))),
		"number of attachments":                 second(EncodeAttachments(make([]Attachment, maxAttachments+1))),
		"attachment's type":                     second(EncodeAttachments([]Attachment{{Type: long(65)}})),
		"number of extended attributes":         second(EncodeXattrs(xattrs(129))),
		"extended attribute's name":             second(EncodeXattrs([]Xattr{{Name: long(256)}})),
		"extended attribute's value":            second(EncodeXattrs([]Xattr{{Name: "a", Value: make([]byte, MaxXattrValue+1)}})),
		"address":                               second(ParseAddress("dfetch:" + long(maxAddress))),
		"path":                                  CheckPath(strings.Repeat("x/", 2100) + "x"),
		"depth":                                 CheckPath(strings.Repeat("x/", 255) + "x"),
		"chunker's maximum":                     Profile{"rabin16", Rabin16.Polynomial, 64, 24, MaxChunk + 1}.Validate(),
		"number of entries in a directory node": second(DecodeEntries(manyEntries(maxDirEntries+1), MaskFull)),
	} {
		var le *LimitError
		if !errors.As(err, &le) || le.What != strings.TrimSpace(what) || le.Got <= le.Limit {
			t.Errorf("%s: %v", what, err)
		} else if !strings.Contains(err.Error(), le.What) || !strings.Contains(err.Error(), fmt.Sprint(le.Limit)) {
			t.Errorf("message %q does not name the limit", err)
		}
	}
}

// manyEntries is a node of n empty files, without regard to limits.
func manyEntries(n int) []byte {
	s := newEntrySegment(MaskFull)
	for i := range n {
		e := Entry{Name: fmt.Sprintf("%08d", i), Type: TypeFile}
		s.buf = appendEntry(s.buf, &s.st, &e, MaskFull)
	}
	return s.buf
}

func TestLimitsThemselvesAreAllowed(t *testing.T) {
	entries := []Entry{
		{Name: strings.Repeat("a", MaxName), Type: TypeSymlink, Target: strings.Repeat("x", MaxTarget)},
		{Name: "b", Type: TypeFile, Size: MaxInline, Inline: make([]byte, MaxInline)},
		{Name: "c", Type: TypeFile, Size: MaxRefs * MaxChunk, Content: refsOf(MaxRefs, MaxChunk)},
		{Name: "d", Type: TypeHardlink, Target: strings.Repeat("x/", MaxDepth-1) + "x"},
	}
	raw, err := EncodeEntries(entries, MaskFull)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEntries(raw, MaskFull)
	if err != nil || len(got) != len(entries) {
		t.Fatal(err)
	}
	for i := range got {
		if !equalEntries(got[i], entries[i]) {
			t.Errorf("%.20q changed", entries[i].Name)
		}
	}
	if _, err := DecodeEntries(manyEntries(maxDirEntries), MaskFull); err != nil {
		t.Error(err)
	}
}

// unencodable are faults in fields that the encoding leaves out.
var unencodable = map[string]bool{
	"directory node without": true, "metadata on a hardlink": true, "counts 2 times": true, "mode on a link": true,
}

func TestEntriesThatMakeNoSense(t *testing.T) {
	hole := func(n int64) Ref { return Ref{Bytes: n, Hole: true} }
	chunk := refsOf(1, 100).Refs[0]
	for want, c := range map[string]struct {
		e    Entry
		mask Mask
	}{
		`name ""`:                     {Entry{Type: TypeFile}, MaskFull},
		`name ".."`:                   {Entry{Name: "..", Type: TypeFile}, MaskFull},
		`holds a slash or NUL`:        {Entry{Name: "a/b", Type: TypeFile}, MaskFull},
		"hardlink in a portable":      {Entry{Name: "f", Type: TypeHardlink, Target: "x"}, MaskPortable},
		"fifo or device":              {Entry{Name: "f", Type: TypeFifo}, MaskUnix},
		"extended attributes in":      {Entry{Name: "f", Type: TypeFile, Xattrs: ID{1}}, MaskUnix},
		"owner in a portable":         {Entry{Name: "f", Type: TypeFile, UID: 1}, MaskPortable},
		"mode 04755 beyond 0777":      {Entry{Name: "f", Type: TypeFile, Mode: 0o4755}, MaskPortable},
		"mode 010000 beyond 07777":    {Entry{Name: "f", Type: TypeFile, Mode: 0o10000}, MaskFull},
		"mode on a link":              {Entry{Name: "f", Type: TypeSymlink, Target: "x", Mode: 1}, MaskFull},
		"metadata on a hardlink":      {Entry{Name: "f", Type: TypeHardlink, Target: "x", MTime: 1}, MaskFull},
		"unknown type 7":              {Entry{Name: "f", Type: 7}, MaskFull},
		"unknown metadata mask":       {Entry{Name: "f", Type: TypeFile}, 4},
		"symlink target is empty":     {Entry{Name: "f", Type: TypeSymlink}, MaskFull},
		"hardlink target":             {Entry{Name: "f", Type: TypeHardlink, Target: "/etc/passwd"}, MaskFull},
		"does not lie in its entry":   {Entry{Name: "f", Type: TypeFile, Size: 3}, MaskFull},
		"with inline content":         {Entry{Name: "f", Type: TypeFile, Size: 100, Inline: []byte{1}, Content: refsOf(1, 100)}, MaskFull},
		"without references":          {file(100, List{}), MaskFull},
		"chunks of 200 bytes":         {file(199, refsOf(2, 100)), MaskFull},
		"two holes side by side":      {file(2*MinHole, List{Refs: []Ref{hole(MinHole), hole(MinHole)}}), MaskFull},
		"the shortest is":             {file(MinHole-1, List{Refs: []Ref{hole(MinHole - 1)}}), MaskFull},
		"hole in an upper list":       {file(MinHole, List{Level: 1, Refs: []Ref{hole(MinHole)}}), MaskFull},
		"zero id":                     {file(100, List{Refs: []Ref{{Bytes: 100, Chunks: 1}}}), MaskFull},
		"reference of 0 bytes":        {file(100, List{Refs: []Ref{chunk, {ID: ID{1}, Chunks: 1}}}), MaskFull},
		"counts 2 times":              {file(100, List{Refs: []Ref{{ID: ID{1}, Bytes: 100, Chunks: 2}}}), MaskFull},
		"unknown digest":              {Entry{Name: "f", Type: TypeFile, Digests: []Digest{{"crc", nil}}}, MaskFull},
		"md5 digest of 3 bytes":       {Entry{Name: "f", Type: TypeFile, Digests: []Digest{{"md5", make([]byte, 3)}}}, MaskFull},
		"digests are not sorted":      {Entry{Name: "f", Type: TypeFile, Digests: []Digest{{"sha1", make([]byte, 20)}, {"md5", make([]byte, 16)}}}, MaskFull},
		"empty node reference":        {Entry{Name: "f", Type: TypeDir, Dir: NodeRef{RawLen: 3, Entries: 1}}, MaskFull},
		"directory node without":      {Entry{Name: "f", Type: TypeDir, Dir: NodeRef{RawLen: 3}}, MaskFull},
		"declares 1 entries, 1 bytes": {Entry{Name: "f", Type: TypeDir, Dir: NodeRef{ID: ID{1}, RawLen: 3, Entries: 1, Bytes: 1, Chunks: 2}}, MaskFull},
	} {
		_, err := EncodeEntries([]Entry{c.e}, c.mask)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("encoding: %v, want %q", err, want)
		}
		if c.e.Type > TypeBlock || c.e.Size != 0 && c.e.Size <= MaxInline || len(c.e.Inline) > 0 || unencodable[want] {
			continue
		}
		raw := appendEntry([]byte{byte(KindDir), 0}, &entryState{}, &c.e, MaskFull)
		if _, err := DecodeEntries(raw, c.mask); err == nil {
			t.Errorf("decoding: no error, want %q", want)
		}
	}
}

func TestDecodersRefuseOtherEncodings(t *testing.T) {
	e := Entry{Name: "f", Type: TypeFile, Mode: 0o644}
	raw, _ := EncodeEntries([]Entry{e}, MaskPortable)
	mode := bytes.Index(raw, binary.AppendUvarint(nil, 0o644))
	padded := append(append(bytes.Clone(raw[:mode+1]), 0x80|raw[mode+1], 0), raw[mode+2:]...)
	list, _ := EncodeList(refsOf(2, 100))
	xattrs, _ := EncodeXattrs([]Xattr{{Name: "a"}})
	refs, _ := EncodeNodeRefs([]NodeRef{{ID: ID{1}, RawLen: 5, Entries: 1}})
	unsame := []byte{byte(KindDir), 0, byte(TypeFile) | sameMTime, 1, 'f', 0, 0} // mode 0 spelled out, though it is the same
	same := []byte{byte(KindDir), 0, byte(TypeFile) | sameMTime | sameMode, 1, 'f', 0}
	if _, err := DecodeEntries(same, MaskPortable); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"padded mode":          errOf(DecodeEntries(padded, MaskPortable)),
		"same mode spelled":    errOf(DecodeEntries(unsame, MaskPortable)),
		"owner flag, portable": errOf(DecodeEntries([]byte{byte(KindDir), 0, byte(TypeFile) | sameMTime | sameMode | sameOwner, 1, 'f', 0}, MaskPortable)),
		"padded list":          errOf(DecodeList(append(append(bytes.Clone(list[:2]), 0xc8, 0x81, 0), list[4:]...))),
		"padded xattrs":        errOf(DecodeXattrs(append([]byte{byte(KindXattr), 0x81, 0}, xattrs[2:]...))),
		"padded refs":          errOf(DecodeNodeRefs(append([]byte{byte(KindDir), 1, 0x81, 0}, refs[3:]...))),
	} {
		if err == nil || !strings.Contains(err.Error(), "one encoding") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestDecodersRefuseEveryTruncation(t *testing.T) {
	s, root, nodes := sampleTree(t, 2, MaskFull, 300)
	_ = s
	for id, raw := range nodes {
		kind := Kind(raw[0])
		for n := range min(len(raw), 600) {
			cut := raw[:len(raw)-1-n]
			err := Children(kind, cut, MaskFull, func(Kind, ID) error { return nil })
			var fe *FormatError
			if kind == KindList && err == nil && (len(cut)-2)%34 < 34 {
				continue // a list may end after any reference
			}
			if err == nil && (BLAKE3.Node(kind, cut) != id) {
				continue // so may a directory, after any entry; its id tells
			}
			if err == nil || !errors.As(err, &fe) && !errors.As(err, new(*LimitError)) {
				t.Fatalf("%s node cut by %d: %v", kind, n+1, err)
			}
		}
	}
	raw, err := root.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range raw {
		if _, err := DecodeRoot(raw[:n]); err == nil {
			t.Fatalf("root cut to %d bytes is read", n)
		}
	}
}

func TestRootRefuses(t *testing.T) {
	for want, change := range map[string]func(*Root){
		"format version 2":         func(r *Root) { r.Version = 2 },
		"features 0x4":             func(r *Root) { r.Features = 4 },
		"unknown hash 3":           func(r *Root) { r.Hash = 3 },
		"unknown metadata mask":    func(r *Root) { r.Mask = 0 },
		"not registered":           func(r *Root) { r.Profile.Name = "fixed" },
		"polynomial 0x7":           func(r *Root) { r.Profile.Polynomial = 7 },
		"below 64":                 func(r *Root) { r.Profile.Min = 63 },
		"do not rise":              func(r *Root) { r.Profile.AvgBits = 12 },
		"root counts 3 entries":    func(r *Root) { r.Counts.Entries = 3 },
		"1 bytes, 0 chunks":        func(r *Root) { r.Counts.Bytes = 1 },
		"0 bytes, 1 chunks":        func(r *Root) { r.Counts.Chunks = 1 },
		"9 files":                  func(r *Root) { r.Counts.Files = 9 },
		"1 bytes of data":          func(r *Root) { r.Counts.DataBytes = 1 },
		"and 0 directories":        func(r *Root) { r.Counts.Dirs = 0 },
		"with a name":              func(r *Root) { r.Top.Name = "x" },
		"neither a directory":      func(r *Root) { r.Top = Entry{Type: TypeSymlink, Name: "x", Target: "y"} },
		"mode 04000 beyond 0777":   func(r *Root) { r.Top.Mode = 0o4000 },
		"directory node without e": func(r *Root) { r.Top.Dir.ID = ID{1} },
	} {
		r := &Root{Version: 1, Hash: BLAKE3, Profile: Rabin16, Mask: MaskPortable, Counts: Counts{Entries: 1, Dirs: 1}, Top: Entry{Type: TypeDir}}
		if _, err := r.Encode(); err != nil {
			t.Fatal(err)
		}
		change(r)
		if _, err := r.Encode(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		raw, err := cborModes().Marshal(wireRoot{r.Version, r.Features, r.Hash, r.Profile, r.Mask, r.Counts,
			appendEntry(nil, &entryState{}, &r.Top, r.Mask)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeRoot(raw); err == nil && want != "directory node without e" {
			t.Errorf("decoded, want %q", want)
		}
	}
}

func TestOpenRootChecksTheID(t *testing.T) {
	r := &Root{Version: 1, Hash: SHA256, Profile: Rabin16, Mask: MaskPortable, Counts: Counts{Entries: 1, Dirs: 1}, Top: Entry{Type: TypeDir}}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenRoot(raw, SHA256, RootID(raw, SHA256)); err != nil || got.Hash != SHA256 {
		t.Fatal(err)
	}
	if _, err := OpenRoot(raw, BLAKE3, RootID(raw, BLAKE3)); err == nil || !strings.Contains(err.Error(), "made with s2") {
		t.Error(err)
	}
	if _, err := OpenRoot(raw, SHA256, RootID(raw, BLAKE3)); err == nil || !strings.Contains(err.Error(), "root has the id s2-") {
		t.Error(err)
	}
	if _, err := OpenRoot(raw, 9, ID{}); err == nil {
		t.Error("unknown hash accepted")
	}
	unsorted := bytes.Replace(raw, []byte{0xa7, 1, 1, 2, 0}, []byte{0xa7, 2, 0, 1, 1}, 1)
	if bytes.Equal(unsorted, raw) {
		t.Fatal("the test does not know the encoding")
	}
	if _, err := DecodeRoot(unsorted); err == nil || !strings.Contains(err.Error(), "one encoding") {
		t.Error(err)
	}
}

package recipe

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden encodings anew; a change of them is a change of the format")

// goldenNodes are one node of each kind and one root, with every field used.
func goldenNodes(t *testing.T) map[string][]byte {
	t.Helper()
	id := func(b byte) (id ID) {
		for i := range id {
			id[i] = b
		}
		return id
	}
	refs := []Ref{{ID: id(1), Bytes: 9000, Chunks: 1}, {Bytes: 1 << 20, Hole: true}, {ID: id(2), Bytes: 1, Chunks: 1}}
	dir := NodeRef{ID: id(3), RawLen: 77, Level: 1, Entries: 5, Bytes: 1 << 33, Chunks: 300}
	entries := []Entry{
		{Name: "block", Type: TypeBlock, Mode: 0o660, MTime: 1_700_000_000_123_456_789, UID: 0, GID: 6, User: "root", Group: "disk", Rdev: 0x801},
		{Name: "char", Type: TypeChar, Mode: 0o660, MTime: 1_700_000_000_123_456_789, GID: 6, User: "root", Group: "disk", Rdev: 0x103},
		{Name: "dir", Type: TypeDir, Mode: 0o755, MTime: 1, Dir: dir, Xattrs: id(4)},
		{Name: "empty", Type: TypeDir, Mode: 0o755, MTime: -1},
		{Name: "fifo", Type: TypeFifo, Mode: 0o600},
		{Name: "file", Type: TypeFile, Mode: 0o4755, MTime: 5, Size: 9001 + 1<<20, Content: List{Refs: refs},
			Digests: []Digest{{"md5", make([]byte, 16)}, {"sha1", make([]byte, 20)}, {"sha256", make([]byte, 32)}}},
		{Name: "hardlink", Type: TypeHardlink, Target: "file"},
		{Name: "inline", Type: TypeFile, Mode: 0o644, MTime: 5, Size: 5, Inline: []byte("hello")},
		{Name: "large", Type: TypeFile, Mode: 0o644, MTime: 5, Size: 1 << 20, Content: List{Level: 1, Refs: []Ref{{ID: id(5), Bytes: 1 << 20, Chunks: 64}}}},
		{Name: "symlink", Type: TypeSymlink, MTime: 5, Target: "../x"},
		{Name: "\xff", Type: TypeFile, Mode: 0o644, MTime: 5},
	}
	root := &Root{Version: 1, Hash: BLAKE3, Profile: Rabin16, Mask: MaskFull, Top: Entry{Type: TypeDir, Mode: 0o755, MTime: 1_700_000_000_000_000_000, Dir: dir},
		Counts: Counts{Entries: 6, Files: 2, Dirs: 3, Bytes: 1 << 33, DataBytes: 1 << 20, Chunks: 300}}
	out := map[string][]byte{}
	put := func(name string, raw []byte, err error) {
		if err != nil {
			t.Fatal(name, err)
		}
		out[name] = raw
	}
	raw, err := EncodeEntries(entries, MaskFull)
	put("entries", raw, err)
	raw, err = EncodeNodeRefs([]NodeRef{dir, dir})
	put("noderefs", raw, err)
	raw, err = EncodeList(List{Refs: refs})
	put("list", raw, err)
	raw, err = EncodeList(List{Level: 1, Refs: []Ref{{ID: id(5), Bytes: 1 << 20, Chunks: 64}}})
	put("upper list", raw, err)
	raw, err = EncodeXattrs([]Xattr{{"security.capability", []byte{1, 2}}, {"user.empty", nil}})
	put("xattrs", raw, err)
	raw, err = root.Encode()
	put("root", raw, err)
	raw, err = EncodeAttachments([]Attachment{{AttachMirror, []byte("https://example.org/")}})
	put("attachments", raw, err)
	return out
}

// goldenCuts is the id of a large tree: it tells whether cuts are still made at the same places.
func goldenCuts(t *testing.T) ID {
	t.Helper()
	nodes := MemNodes{}
	d := NewDirBuilder(MaskPortable, nodes.Put(BLAKE3))
	for i := range 50_000 {
		if err := d.Add(&Entry{Name: fmt.Sprintf("%06d", i), Type: TypeFile}); err != nil {
			t.Fatal(err)
		}
	}
	l := NewListBuilder(nodes.Put(BLAKE3))
	for i := range 20_000 {
		if err := l.Add(Ref{ID: BLAKE3.Chunk(fmt.Append(nil, i)), Bytes: 1000, Chunks: 1}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := l.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Add(&Entry{Name: "file", Type: TypeFile, Size: 20_000_000, Content: list}); err != nil {
		t.Fatal(err)
	}
	ref, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return ref.ID
}

func TestGoldenEncodings(t *testing.T) {
	var b strings.Builder
	nodes := goldenNodes(t)
	names := make([]string, 0, len(nodes))
	for name := range nodes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s %s\n", name, hex.EncodeToString(nodes[name]))
	}
	fmt.Fprintf(&b, "recipe id %s\n", RootID(nodes["root"], BLAKE3))
	fmt.Fprintf(&b, "cuts %s\n", goldenCuts(t))
	path := filepath.Join("testdata", "golden.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the format has drifted:\n%s\nwant\n%s", b.String(), want)
	}
}

func TestGoldenNodesDecode(t *testing.T) {
	nodes := goldenNodes(t)
	if _, err := DecodeRoot(nodes["root"]); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"entries", "noderefs", "list", "upper list", "xattrs"} {
		if err := Children(Kind(nodes[name][0]), nodes[name], MaskFull, func(Kind, ID) error { return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	again, err := DecodeEntries(nodes["entries"], MaskFull)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := EncodeEntries(again, MaskFull)
	if err != nil || !bytes.Equal(raw, nodes["entries"]) {
		t.Error(err)
	}
}

package recipe

import (
	"bytes"
	"errors"
	"testing"
)

// known fails the test if an error is of no kind that decoders give.
func known(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.As(err, new(*FormatError)) && !errors.As(err, new(*LimitError)) {
		t.Fatalf("error of another kind: %v", err)
	}
}

func addNodes(f *testing.F, kind Kind) {
	_, _, nodes := sampleTree(f, 77, MaskFull, 200)
	n := 0
	for _, raw := range nodes {
		if Kind(raw[0]) == kind && len(raw) < 4000 {
			f.Add(raw)
			if n++; n == 20 {
				return
			}
		}
	}
}

func FuzzDecodeRoot(f *testing.F) {
	_, root, _ := sampleTree(f, 77, MaskFull, 20)
	raw, err := root.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0xa7, 1, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeRoot(raw)
		known(t, err)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzDecodeEntries(f *testing.F) {
	addNodes(f, KindDir)
	f.Add([]byte{byte(KindDir), 0, 1, 1, 'f', 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, mask := range masks {
			entries, err := DecodeEntries(raw, mask)
			known(t, err)
			if err != nil {
				continue
			}
			if again, err := EncodeEntries(entries, mask); err != nil || !bytes.Equal(again, raw) {
				t.Fatalf("another encoding: %v", err)
			}
		}
	})
}

func FuzzDecodeNodeRefs(f *testing.F) {
	raw, err := EncodeNodeRefs([]NodeRef{{ID: ID{1}, RawLen: 100, Entries: 5, Bytes: 1 << 40, Chunks: 9}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		refs, err := DecodeNodeRefs(raw)
		known(t, err)
		if err != nil {
			return
		}
		if again, err := EncodeNodeRefs(refs); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzDecodeList(f *testing.F) {
	addNodes(f, KindList)
	f.Add([]byte{byte(KindList), 0, 0x81, 0x80, 0x10})
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := DecodeList(raw)
		known(t, err)
		if err != nil {
			return
		}
		if again, err := EncodeList(l); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzDecodeXattrs(f *testing.F) {
	raw, err := EncodeXattrs([]Xattr{{"user.a", []byte("x")}, {"user.b", nil}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		xs, err := DecodeXattrs(raw)
		known(t, err)
		if err != nil {
			return
		}
		if again, err := EncodeXattrs(xs); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzOpenFile(f *testing.F) {
	_, root, nodes := sampleTree(f, 78, MaskUnix, 30)
	for _, n := range []Nodes{nil, nodes} {
		var b bytes.Buffer
		if err := Write(ctx, &b, root, n, []Attachment{{AttachMirror, []byte("https://a/")}}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(fileMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := OpenReaderAt(bytes.NewReader(raw), int64(len(raw)), "fuzz")
		known(t, err)
		if err != nil {
			return
		}
		n := uint64(0)
		_ = Walk(ctx, file, file.Root(), func(it Item) error {
			if it.Number >= file.Root().Counts.Entries {
				t.Fatal("item beyond the counts")
			}
			if n++; n > 10_000 {
				return SkipAll
			}
			return nil
		})
	})
}

func FuzzDecodeNode(f *testing.F) {
	f.Add(EncodeNode(bytes.Repeat([]byte("abc"), 1000)), 3000)
	f.Fuzz(func(t *testing.T, enc []byte, n int) {
		raw, err := DecodeNode(enc, n)
		known(t, err)
		if err == nil && (len(raw) != n || n > MaxNode) {
			t.Fatalf("%d bytes, %d declared", len(raw), n)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add("dfetch:" + zeroID + "/a/b%20c?s=h:1&s=[::1]:2&pin=sha256-x&tk=t&m=http://x/&xs=http://y/a.dfr&new=1")
	f.Add("dfetch:s2-" + zeroID[3:])
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		known(t, err)
		if err != nil {
			return
		}
		text := a.String()
		if len(text) > maxAddress {
			return
		}
		again, err := ParseAddress(text)
		if err != nil || !again.Equal(a) {
			t.Fatalf("%q comes back from %q as another address: %v", s, text, err)
		}
	})
}

func FuzzDecodeAttachments(f *testing.F) {
	raw, err := EncodeAttachments([]Attachment{{AttachMirror, []byte("https://a/")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		as, err := DecodeAttachments(raw)
		known(t, err)
		if err != nil {
			return
		}
		Signatures(ID{}, as)
		for _, a := range as {
			a.ID()
		}
		if _, err := EncodeAttachments(as); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzNodeCachePack(f *testing.F) {
	raw := []byte("a node of some bytes")
	id := BLAKE3.Node(KindDir, raw)
	pack := appendPacked([]byte(packMagic), KindDir, id, raw)
	f.Add(pack)
	f.Add(pack[:len(pack)-3])
	f.Add(append(bytes.Clone(pack), pack[len(packMagic):]...))
	f.Add(appendPackIndex(bytes.Clone(pack), []packEntry{{[shortID]byte(id[:]), int64(len(packMagic))}}))
	f.Fuzz(func(t *testing.T, pack []byte) {
		r := bytes.NewReader(pack)
		if x, ok := openPackIndex(r, r.Size(), 1<<20); ok {
			if x.len() > len(pack)/indexEntry {
				t.Fatalf("%d entries in %d bytes", x.len(), len(pack))
			}
			if off, ok := x.find([shortID]byte(id[:])); ok {
				got, err := readPacked(r, off, KindDir, id)
				if err == nil && len(got) > MaxNode {
					t.Fatalf("%d bytes", len(got))
				}
			}
		}
		entries, end := scanned(r, r.Size(), 1<<20, func() bool { return false })
		if end > max(r.Size(), int64(len(packMagic))) {
			t.Fatalf("records end at %d of %d bytes", end, r.Size())
		}
		all := indexOf(entries)
		all.find([shortID]byte(id[:]))
		end = 0
		scanPack(r, r.Size(), func(h packHead, off int64) bool {
			if off < end || off+packHeadSize+int64(h.encLen) > r.Size() {
				t.Fatalf("record at %d of %d bytes", off, r.Size())
			}
			end = off + packHeadSize + int64(h.encLen)
			got, err := readPacked(r, off, h.kind, h.id)
			if err == nil && len(got) != int(h.rawLen) {
				t.Fatalf("%d bytes, %d declared", len(got), h.rawLen)
			}
			return true
		})
	})
}

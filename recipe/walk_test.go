package recipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

var ctx = context.Background()

func TestWalkGivesBackRandomTrees(t *testing.T) {
	for _, mask := range masks {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("mask %d seed %d", mask, seed), func(t *testing.T) {
				s, root, nodes := sampleTree(t, seed, mask, 4000)
				want := flatten(s)
				err := Walk(ctx, nodes, root, func(it Item) error {
					if len(want) == 0 {
						t.Fatalf("one item too many: %q", it.Path)
					}
					comparePlaced(t, nodes, it, want[0])
					want = want[1:]
					return nil
				})
				if err != nil || len(want) > 0 {
					t.Fatalf("err %v, %d items missing", err, len(want))
				}
			})
		}
	}
}

func comparePlaced(t *testing.T, nodes Nodes, it Item, want placed) {
	t.Helper()
	if it.Path != want.path || it.Number != want.number || it.Ordinal != want.ordinal {
		t.Fatalf("item %q %d %d, want %q %d %d", it.Path, it.Number, it.Ordinal, want.path, want.number, want.ordinal)
	}
	if !equalEntries(bare(it.Entry), want.s.entry) {
		t.Fatalf("%q: entry\n%+v, want\n%+v", it.Path, bare(it.Entry), want.s.entry)
	}
	if got := leafRefs(t, nodes, it.Entry); !slices.Equal(got, want.s.refs) {
		t.Fatalf("%q: %d references, want %d", it.Path, len(got), len(want.s.refs))
	}
}

func TestLookupAndWalkFromFindEveryPath(t *testing.T) {
	s, root, nodes := sampleTree(t, 11, MaskFull, 1000)
	all := flatten(s)
	for i, want := range all {
		if i%7 != 0 && want.s.entry.Type != TypeDir {
			continue
		}
		it, err := Lookup(ctx, nodes, root, want.path)
		if err != nil {
			t.Fatal(err)
		}
		comparePlaced(t, nodes, it, want)
		next := i
		err = WalkFrom(ctx, nodes, root, want.path, func(it Item) error {
			comparePlaced(t, nodes, it, all[next])
			next++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if next < len(all) && strings.HasPrefix(all[next].path, want.path+"/") {
			t.Fatalf("walk from %q ends before %q", want.path, all[next].path)
		}
	}
	for _, path := range []string{"nothing", all[1].path + "/nothing", "zzz/a", "0"} {
		if _, err := Lookup(ctx, nodes, root, path); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestWalkSkips(t *testing.T) {
	s, root, nodes := sampleTree(t, 3, MaskPortable, 2000)
	var want, got []string
	for _, p := range flatten(s) {
		if !strings.Contains(p.path, "/") {
			want = append(want, p.path)
		}
	}
	err := Walk(ctx, nodes, root, func(it Item) error {
		got = append(got, it.Path)
		if it.Path != "" && it.Entry.Type == TypeDir {
			return SkipDir
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("err %v, %d of %d", err, len(got), len(want))
	}
	n := 0
	err = Walk(ctx, nodes, root, func(Item) error {
		if n++; n == 5 {
			return SkipAll
		}
		return nil
	})
	if err != nil || n != 5 {
		t.Fatalf("err %v after %d items", err, n)
	}
}

func TestWalkEndsWithContext(t *testing.T) {
	_, root, nodes := sampleTree(t, 3, MaskPortable, 2000)
	c, cancel := context.WithCancel(ctx)
	n := 0
	err := Walk(c, nodes, root, func(Item) error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 5 {
		t.Fatalf("err %v after %d items", err, n)
	}
}

func TestTopFile(t *testing.T) {
	s := &sample{entry: Entry{Name: "a file", Type: TypeFile, Mode: 0o644}}
	s.refs = newSampler(1, MaskPortable, 1).refs(3000)
	for _, ref := range s.refs {
		s.entry.Size += ref.Bytes
	}
	nodes := MemNodes{}
	root := encodeRoot(t, s, MaskPortable, nodes)
	again := mustReopen(t, root)
	n := 0
	err := Walk(ctx, nodes, again, func(it Item) error {
		n++
		comparePlaced(t, nodes, it, placed{s, "a file", 0, 0})
		return nil
	})
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if it, err := Lookup(ctx, nodes, again, "a file"); err != nil || it.Path != "a file" {
		t.Fatal(it, err)
	}
	if _, err := Lookup(ctx, nodes, again, "a file/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func mustReopen(t testing.TB, root *Root) *Root {
	t.Helper()
	raw, err := root.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenRoot(raw, root.Hash, RootID(raw, root.Hash))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// forge makes a root over entries with the sums that change makes of the true ones.
func forge(t *testing.T, nodes MemNodes, entries []Entry, change func(*NodeRef)) *Root {
	t.Helper()
	b := NewDirBuilder(MaskFull, nodes.Put(BLAKE3))
	for i := range entries {
		if err := b.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	change(&ref)
	root := &Root{Version: Version, Hash: BLAKE3, Profile: Rabin16, Mask: MaskFull, Top: Entry{Type: TypeDir, Dir: ref}}
	root.Counts = Counts{Entries: ref.Entries + 1, Bytes: ref.Bytes, Chunks: ref.Chunks, Dirs: 1, Files: min(1, ref.Entries)}
	return mustReopen(t, root)
}

func TestWalkRefusesWhatDoesNotAddUp(t *testing.T) {
	id := newSampler(1, MaskFull, 1).id()
	file := Entry{Name: "b", Type: TypeFile, Size: 100, Content: List{Refs: []Ref{{ID: id, Bytes: 100, Chunks: 1}}}}
	link := func(name, target string) Entry { return Entry{Name: name, Type: TypeHardlink, Target: target} }
	none := func(*NodeRef) {}
	for name, c := range map[string]struct {
		entries []Entry
		change  func(*NodeRef)
		want    string
	}{
		"more entries declared": {[]Entry{file}, func(n *NodeRef) { n.Entries++ }, "less than declared"},
		"fewer declared":        {[]Entry{file, {Name: "c", Type: TypeFifo}}, func(n *NodeRef) { n.Entries-- }, "more than declared"},
		"fewer bytes declared":  {[]Entry{file}, func(n *NodeRef) { n.Bytes-- }, "more than declared"},
		"more bytes declared":   {[]Entry{file}, func(n *NodeRef) { n.Bytes++ }, "less than declared"},
		"fewer chunks declared": {[]Entry{file}, func(n *NodeRef) { n.Chunks-- }, "more than declared"},
		"other length":          {[]Entry{file}, func(n *NodeRef) { n.RawLen++ }, "length and level"},
		"other level":           {[]Entry{file}, func(n *NodeRef) { n.Level++ }, "length and level"},
		"reserved name":         {[]Entry{{Name: ".dfetch", Type: TypeFile}}, none, "reserved"},
		"link to nothing":       {[]Entry{file, link("c", "x")}, none, "does not have"},
		"link to later":         {[]Entry{link("a", "b"), file}, none, "comes later"},
		"link to link":          {[]Entry{file, link("c", "b"), link("d", "c")}, none, "not a regular file"},
		"link to itself":        {[]Entry{file, link("c", "c")}, none, "not a regular file"},
		"count of files":        {[]Entry{file, {Name: "c", Type: TypeFile}}, none, "root counts 1 files"},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := MemNodes{}
			root := forge(t, nodes, c.entries, c.change)
			seen := uint64(0)
			err := Walk(ctx, nodes, root, func(it Item) error {
				seen++
				if it.Number >= root.Counts.Entries || it.Ordinal+it.Entry.Chunks() > root.Counts.Chunks {
					t.Errorf("%q lies beyond the counts", it.Path)
				}
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestWalkRefusesNamesThatFallBetweenNodes(t *testing.T) {
	nodes := MemNodes{}
	put := nodes.Put(BLAKE3)
	leaf := func(name string) NodeRef {
		raw, err := EncodeEntries([]Entry{{Name: name, Type: TypeFile}}, MaskPortable)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := put(KindDir, raw)
		return NodeRef{ID: id, RawLen: uint32(len(raw)), Entries: 1}
	}
	raw, err := EncodeNodeRefs([]NodeRef{leaf("b"), leaf("a")})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := put(KindDir, raw)
	root := &Root{Version: Version, Hash: BLAKE3, Profile: Rabin16, Mask: MaskPortable, Counts: Counts{Entries: 3, Files: 2, Dirs: 1},
		Top: Entry{Type: TypeDir, Dir: NodeRef{ID: id, RawLen: uint32(len(raw)), Level: 1, Entries: 2}}}
	err = Walk(ctx, nodes, mustReopen(t, root), func(Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), `does not come after "b"`) {
		t.Fatal(err)
	}
}

func TestWalkRefusesDepthAndPath(t *testing.T) {
	for _, c := range []struct {
		name  string
		depth int
		what  string
	}{{"d", MaxDepth + 1, "depth"}, {strings.Repeat("d", 200), 30, "path"}, {"d", MaxDepth, ""}} {
		top := &sample{entry: Entry{Type: TypeDir}}
		at := top
		for range c.depth {
			next := &sample{entry: Entry{Name: c.name, Type: TypeDir}}
			at.children = []*sample{next}
			at = next
		}
		nodes := MemNodes{}
		root := encodeRoot(t, top, MaskPortable, nodes)
		err := Walk(ctx, nodes, root, func(Item) error { return nil })
		var le *LimitError
		if c.what == "" && err == nil {
			continue
		}
		if !errors.As(err, &le) || le.What != c.what || le.Entry == "" {
			t.Errorf("%d directories %q: %v", c.depth, c.name, err)
		}
	}
}

func TestWalkReportsMissingNodes(t *testing.T) {
	_, root, nodes := sampleTree(t, 5, MaskFull, 3000)
	delete(nodes, root.Top.Dir.ID)
	err := Walk(ctx, nodes, root, func(Item) error { return nil })
	if !errors.Is(err, ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// prefetching notes what it was told to fetch, and fails the test for what comes untold.
type prefetching struct {
	MemNodes
	told map[ID]bool
}

func (p *prefetching) Prefetch(kind Kind, ids []ID) {
	for _, id := range ids {
		p.told[id] = true
	}
}

func TestWalkTellsWhatItWillRead(t *testing.T) {
	_, root, nodes := sampleTree(t, 5, MaskFull, 3000)
	p := &prefetching{nodes, map[ID]bool{root.Top.Dir.ID: true}}
	err := Walk(ctx, p, root, func(it Item) error {
		return Chunks(ctx, p, it.Entry, func(int64, Ref) error { return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range nodes {
		if !p.told[id] {
			t.Fatalf("node %s was not told", id)
		}
	}
}

// TestChunksInOrder: the chunks of all files come in the order of their ordinals, each with its offset.
func TestChunksInOrder(t *testing.T) {
	s, root, nodes := sampleTree(t, 21, MaskUnix, 3000)
	type at struct {
		path string
		off  int64
		ref  Ref
	}
	var want, got []at
	for _, p := range flatten(s) {
		var off int64
		for _, ref := range p.s.refs {
			want = append(want, at{p.path, off, ref})
			off += ref.Bytes
		}
	}
	ordinal := uint64(0)
	err := Walk(ctx, nodes, root, func(it Item) error {
		if it.Entry.Type == TypeFile && it.Ordinal != ordinal {
			t.Fatalf("%q begins at chunk %d, want %d", it.Path, it.Ordinal, ordinal)
		}
		return Chunks(ctx, nodes, it.Entry, func(off int64, ref Ref) error {
			ordinal += ref.Chunks
			got = append(got, at{it.Path, off, ref})
			return nil
		})
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d chunks and holes, want %d: %v", len(got), len(want), err)
	}
}

func TestChunksRefusesListsThatDoNotAddUp(t *testing.T) {
	s := newSampler(9, MaskPortable, 0)
	file := &sample{entry: Entry{Name: "f", Type: TypeFile}, refs: s.refs(300)}
	for _, ref := range file.refs {
		file.entry.Size += ref.Bytes
	}
	nodes := MemNodes{}
	for name, change := range map[string]func(*Ref, *Entry){
		"bytes":  func(r *Ref, e *Entry) { r.Bytes++ },
		"chunks": func(r *Ref, e *Entry) { r.Chunks-- },
		"level":  func(_ *Ref, e *Entry) { e.Content.Level++ },
	} {
		e := encode(t, file, MaskPortable, nodes.Put(BLAKE3))
		e.Content.Refs = slices.Clone(e.Content.Refs)
		change(&e.Content.Refs[0], &e)
		if err := Chunks(ctx, nodes, &e, func(int64, Ref) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

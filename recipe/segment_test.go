package recipe

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestNodesKeepTheirBounds(t *testing.T) {
	nodes := MemNodes{}
	b := NewDirBuilder(MaskPortable, nodes.Put(BLAKE3))
	const n = 120_000
	for i := range n {
		if err := b.Add(&Entry{Name: fmt.Sprintf("%08d", i), Type: TypeFile}); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if ref.Level == 0 || ref.Entries != n || len(nodes) < n/1200 || len(nodes) > n/300 {
		t.Fatalf("level %d, %d entries, %d nodes", ref.Level, ref.Entries, len(nodes))
	}
	for _, raw := range nodes {
		if len(raw) > maxDirNodeSize {
			t.Errorf("node of %d bytes", len(raw))
		}
	}
}

func TestLongEntriesAreCutBySize(t *testing.T) {
	nodes := MemNodes{}
	b := NewDirBuilder(MaskPortable, nodes.Put(BLAKE3))
	target := make([]byte, MaxTarget)
	for i := range target {
		target[i] = 'x'
	}
	const n = 2000
	for i := range n {
		if err := b.Add(&Entry{Name: fmt.Sprintf("%08d", i), Type: TypeSymlink, Target: string(target)}); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := b.Finish()
	if err != nil || ref.Entries != n {
		t.Fatal(err, ref)
	}
	for _, raw := range nodes {
		if len(raw) > maxDirNodeSize {
			t.Errorf("node of %d bytes", len(raw))
		}
	}
	root := &Root{Version: 1, Hash: BLAKE3, Profile: Rabin16, Mask: MaskPortable, Top: Entry{Type: TypeDir, Dir: ref}, Counts: Counts{Entries: n + 1, Dirs: 1}}
	if err := Walk(ctx, nodes, mustReopen(t, root), func(Item) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestAnEditTouchesFewNodes(t *testing.T) {
	s := newSampler(8, MaskPortable, 0)
	refs := s.refs(40_000)
	build := func(refs []Ref) MemNodes {
		nodes := MemNodes{}
		b := NewListBuilder(nodes.Put(BLAKE3))
		for _, ref := range refs {
			if err := b.Add(ref); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		return nodes
	}
	before := build(refs)
	after := build(slices.Insert(slices.Clone(refs), 20_000, s.refs(1)...))
	fresh := 0
	for id := range after {
		if _, ok := before[id]; !ok {
			fresh++
		}
	}
	if fresh == 0 || fresh > 12 || len(before) < 200 {
		t.Fatalf("%d of %d nodes are new", fresh, len(after))
	}
}

func TestListLevels(t *testing.T) {
	s := newSampler(8, MaskPortable, 0)
	for n, level := range map[int]uint8{1: 0, MaxRefs: 0, MaxRefs + 1: 1, 300: 1, 4000: 2} {
		nodes := MemNodes{}
		b := NewListBuilder(nodes.Put(BLAKE3))
		for range n {
			if err := b.Add(Ref{ID: s.id(), Bytes: 9, Chunks: 1}); err != nil {
				t.Fatal(err)
			}
		}
		l, err := b.Finish()
		if err != nil || len(l.Refs) > MaxRefs || l.Level != level || l.Chunks() != uint64(n) {
			t.Errorf("%d references: level %d, %d in the entry, %v", n, l.Level, len(l.Refs), err)
		}
	}
	b := NewListBuilder(nil)
	if l, err := b.Finish(); err != nil || len(l.Refs) != 0 {
		t.Error(l, err)
	}
}

func TestHolesSideBySideBecomeOne(t *testing.T) {
	nodes := MemNodes{}
	b := NewListBuilder(nodes.Put(BLAKE3))
	for range 3000 {
		if err := b.Add(Ref{Bytes: 1 << 20, Hole: true}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := b.Finish()
	if err != nil || len(l.Refs) != 1 || l.Refs[0].Bytes != 3000<<20 || len(nodes) != 0 {
		t.Fatal(l, err)
	}
}

func TestBuildersReportErrors(t *testing.T) {
	failed := errors.New("no space")
	put := func(Kind, []byte) (ID, error) { return ID{}, failed }
	l := NewListBuilder(put)
	for i := range 2000 {
		if err := l.Add(Ref{ID: ID{byte(i), 1}, Bytes: 1, Chunks: 1}); err != nil {
			break
		}
	}
	if _, err := l.Finish(); !errors.Is(err, failed) {
		t.Error(err)
	}
	d := NewDirBuilder(MaskPortable, put)
	if err := d.Add(&Entry{Name: "b", Type: TypeFile}); err != nil {
		t.Fatal(err)
	}
	if err := d.Add(&Entry{Name: "a", Type: TypeFile}); err == nil {
		t.Error("falling names accepted")
	}
	if _, err := d.Finish(); err == nil {
		t.Error("Finish after an error")
	}
	d = NewDirBuilder(MaskPortable, put)
	_ = d.Add(&Entry{Name: "b", Type: TypeFile})
	if _, err := d.Finish(); !errors.Is(err, failed) {
		t.Error(err)
	}
}

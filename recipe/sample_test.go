package recipe

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// sample is a tree in the plainest form: what the codec should give back.
type sample struct {
	entry    Entry // without Content and Dir
	refs     []Ref // leaf references of a file
	children []*sample
}

// sampler makes random trees.
type sampler struct {
	*rand.Rand
	mask   Mask
	budget int      // entries left to make
	files  []string // paths of regular files so far, in walk order
}

func newSampler(seed uint64, mask Mask, budget int) *sampler {
	return &sampler{Rand: rand.New(rand.NewPCG(seed, 1)), mask: mask, budget: budget}
}

func (s *sampler) id() (id ID) {
	for i := 0; i < len(id); i += 8 {
		binary.LittleEndian.PutUint64(id[i:], s.Uint64()|1<<63)
	}
	return id
}

func (s *sampler) tree() *sample {
	top := &sample{entry: Entry{Type: TypeDir, Mode: 0o755, MTime: 1}}
	s.fill(top, "", 0)
	return top
}

// maxSampleDepth keeps random trees from growing down without end.
const maxSampleDepth = 8

func (s *sampler) fill(dir *sample, path string, depth int) {
	if depth > maxSampleDepth {
		return
	}
	names := map[string]bool{}
	n := s.IntN(20)
	if depth == 0 || s.IntN(15) == 0 {
		n = s.IntN(min(3000, s.budget+1))
	}
	for range n {
		names[fmt.Sprintf("%x", s.Uint64()>>(8*s.IntN(8)))] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		if s.budget <= 0 {
			return
		}
		s.budget--
		child := s.entry(name)
		dir.children = append(dir.children, child)
		switch child.entry.Type {
		case TypeDir:
			s.fill(child, join(path, name), depth+1)
		case TypeFile:
			s.files = append(s.files, join(path, name))
		}
	}
}

func (s *sampler) entry(name string) *sample {
	types := []Type{TypeFile, TypeFile, TypeFile, TypeDir, TypeSymlink}
	if s.mask >= MaskUnix && len(s.files) > 0 {
		types = append(types, TypeHardlink)
	}
	if s.mask == MaskFull {
		types = append(types, TypeFifo, TypeChar, TypeBlock)
	}
	out := &sample{entry: Entry{Name: name, Type: types[s.IntN(len(types))]}}
	e := &out.entry
	if e.Type == TypeHardlink {
		e.Target = s.files[s.IntN(len(s.files))]
		return out
	}
	s.metadata(e)
	switch e.Type {
	case TypeFile:
		s.content(out)
	case TypeSymlink:
		e.Target = "../" + name
	case TypeChar, TypeBlock:
		e.Rdev = s.Uint64()
	}
	return out
}

func (s *sampler) metadata(e *Entry) {
	e.MTime = []int64{0, 1, 1700000000e9, -5, int64(s.Uint64())}[s.IntN(5)]
	if e.hasMode() {
		e.Mode = []uint32{0o644, 0o755, s.Uint32() & modeBits(s.mask)}[s.IntN(3)]
	}
	if s.mask >= MaskUnix && s.IntN(2) == 0 {
		e.UID, e.GID, e.User, e.Group = s.Uint32(), s.Uint32(), "user", "group"
	}
	if s.mask == MaskFull && s.IntN(8) == 0 {
		e.Xattrs = s.id()
	}
}

func (s *sampler) content(out *sample) {
	e := &out.entry
	switch s.IntN(10) {
	case 0:
		return
	case 1, 2:
		e.Inline = make([]byte, 1+s.IntN(MaxInline))
		e.Size = int64(len(e.Inline))
		return
	case 3:
		e.Digests = []Digest{{"md5", make([]byte, 16)}, {"sha256", make([]byte, 32)}}
	}
	n := 1 + s.IntN(MaxRefs+4)
	if s.IntN(40) == 0 {
		n = s.IntN(5000)
	}
	out.refs = s.refs(n)
	for _, ref := range out.refs {
		e.Size += ref.Bytes
	}
}

// refs are n leaf references or a few less, no two holes side by side, of more bytes than lie inline.
func (s *sampler) refs(n int) []Ref {
	refs := []Ref{{ID: s.id(), Bytes: 100, Chunks: 1}}
	for len(refs) < n {
		if s.IntN(10) == 0 && !refs[len(refs)-1].Hole {
			refs = append(refs, Ref{Bytes: MinHole + s.Int64N(1<<40), Hole: true})
			continue
		}
		refs = append(refs, Ref{ID: s.id(), Bytes: 1 + s.Int64N(64<<10), Chunks: 1})
	}
	return refs
}

// encode puts a sample into nodes and returns its entry.
func encode(t testing.TB, s *sample, mask Mask, put Put) Entry {
	t.Helper()
	e := s.entry
	var err error
	switch e.Type {
	case TypeFile:
		b := NewListBuilder(put)
		for _, ref := range s.refs {
			if err := b.Add(ref); err != nil {
				t.Fatal(err)
			}
		}
		e.Content, err = b.Finish()
	case TypeDir:
		b := NewDirBuilder(mask, put)
		for _, child := range s.children {
			ce := encode(t, child, mask, put)
			if err := b.Add(&ce); err != nil {
				t.Fatal(err)
			}
		}
		e.Dir, err = b.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// encodeRoot puts a sample into nodes and returns its root.
func encodeRoot(t testing.TB, s *sample, mask Mask, nodes MemNodes) *Root {
	t.Helper()
	r := &Root{Version: Version, Hash: BLAKE3, Profile: Rabin16, Mask: mask}
	r.Top = encode(t, s, mask, nodes.Put(BLAKE3))
	flat := flatten(s)
	sum := r.Top.sums()
	r.Counts = Counts{Entries: sum.entries, Bytes: sum.bytes, Chunks: sum.chunks}
	for _, f := range flat {
		switch f.s.entry.Type {
		case TypeDir:
			r.Counts.Dirs++
		case TypeFile:
			r.Counts.Files++
		}
	}
	return r
}

// placed is a sample with its place in the tree.
type placed struct {
	s       *sample
	path    string
	number  uint64
	ordinal uint64
}

func flatten(s *sample) []placed {
	var out []placed
	var ordinal uint64
	var visit func(s *sample, path string)
	visit = func(s *sample, path string) {
		out = append(out, placed{s, path, uint64(len(out)), ordinal})
		for _, ref := range s.refs {
			ordinal += ref.Chunks
		}
		for _, c := range s.children {
			visit(c, join(path, c.entry.Name))
		}
	}
	visit(s, s.entry.Name)
	return out
}

// bare is an entry without what the codec adds.
func bare(e *Entry) Entry {
	out := *e
	out.Content, out.Dir = List{}, NodeRef{}
	return out
}

func equalEntries(a, b Entry) bool { return a.Name == b.Name && sameEntry(&a, &b) }

// sampleTree makes a random tree of about n entries.
func sampleTree(t testing.TB, seed uint64, mask Mask, n int) (*sample, *Root, MemNodes) {
	t.Helper()
	s := newSampler(seed, mask, n).tree()
	nodes := MemNodes{}
	return s, encodeRoot(t, s, mask, nodes), nodes
}

// leafRefs are the references that Chunks shows.
func leafRefs(t testing.TB, nodes Nodes, e *Entry) []Ref {
	t.Helper()
	var out []Ref
	var at int64
	err := Chunks(context.Background(), nodes, e, func(off int64, ref Ref) error {
		if off != at {
			t.Fatalf("reference at %d, want %d", off, at)
		}
		at += ref.Bytes
		out = append(out, ref)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var masks = []Mask{MaskPortable, MaskUnix, MaskFull}

func cloneSample(s *sample) *sample {
	out := *s
	out.refs = slices.Clone(s.refs)
	out.children = nil
	for _, c := range s.children {
		out.children = append(out.children, cloneSample(c))
	}
	return &out
}

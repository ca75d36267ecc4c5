package recipe

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
)

// diffs are what Diff reports.
func diffs(t *testing.T, aN Nodes, a *Root, bN Nodes, b *Root) map[string]ChangeKind {
	t.Helper()
	out := map[string]ChangeKind{}
	last := ""
	err := Diff(ctx, aN, a, bN, b, func(ch Change) error {
		if (ch.A == nil) != (ch.Kind == Added) || (ch.B == nil) != (ch.Kind == Removed) {
			t.Errorf("%q: sides do not fit", ch.Path)
		}
		key := ch.Path
		if _, ok := out[key]; ok {
			if last != key && out[key] != Removed {
				t.Errorf("%q comes twice", key)
			}
			key += " again"
		}
		out[key], last = ch.Kind, ch.Path
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// slowDiff compares two trees by their lists of paths.
func slowDiff(a, b *sample) map[string]ChangeKind {
	index := func(s *sample) map[string]*sample {
		m := map[string]*sample{}
		for _, p := range flatten(s) {
			m[p.path] = p.s
		}
		return m
	}
	as, bs := index(a), index(b)
	out := map[string]ChangeKind{}
	for path, x := range as {
		y, ok := bs[path]
		switch {
		case !ok:
			out[path] = Removed
		case !equalEntries(x.entry, y.entry) || !slices.Equal(x.refs, y.refs):
			out[path] = Changed
		}
	}
	for path := range bs {
		if _, ok := as[path]; !ok {
			out[path] = Added
		}
	}
	return out
}

// mutate changes, drops and adds a few entries that are not directories.
func mutate(s *sampler, dir *sample) {
	for i := 0; i < len(dir.children); i++ {
		c := dir.children[i]
		switch {
		case c.entry.Type == TypeDir:
			mutate(s, c)
			if s.IntN(30) == 0 {
				c.entry.Mode ^= 1
			}
		case s.IntN(40) == 0:
			dir.children = slices.Delete(dir.children, i, i+1)
			i--
		case s.IntN(40) == 0 && c.entry.Type != TypeHardlink:
			c.entry.MTime++
		case s.IntN(40) == 0:
			fresh := &sample{entry: Entry{Name: c.entry.Name + "0", Type: TypeFile}}
			if i+1 == len(dir.children) || dir.children[i+1].entry.Name > fresh.entry.Name {
				dir.children = slices.Insert(dir.children, i+1, fresh)
				i++
			}
		}
	}
}

func TestDiffAgreesWithTheSlowWay(t *testing.T) {
	for seed := range uint64(5) {
		a, aRoot, aNodes := sampleTree(t, 50+seed, MaskPortable, 3000)
		b := cloneSample(a)
		mutate(newSampler(seed, MaskPortable, 0), b)
		bNodes := MemNodes{}
		bRoot := encodeRoot(t, b, MaskPortable, bNodes)
		want := slowDiff(a, b)
		if got := diffs(t, aNodes, aRoot, bNodes, bRoot); !maps.Equal(got, want) {
			t.Fatalf("seed %d: %d differences, want %d", seed, len(got), len(want))
		}
		if got := diffs(t, aNodes, aRoot, aNodes, aRoot); len(got) != 0 {
			t.Fatalf("a tree differs from itself: %v", got)
		}
	}
}

// counting counts the nodes that are read.
type counting struct {
	MemNodes
	n int
}

func (c *counting) Node(ctx context.Context, kind Kind, id ID) ([]byte, error) {
	c.n++
	return c.MemNodes.Node(ctx, kind, id)
}

func TestDiffReadsOnlyWhatDiffers(t *testing.T) {
	build := func(skip int) (*Root, *counting) {
		top := &sample{entry: Entry{Type: TypeDir}}
		for i := range 100_000 {
			if i != skip {
				top.children = append(top.children, &sample{entry: Entry{Name: string([]byte{'a' + byte(i/10000), '0' + byte(i/1000%10), '0' + byte(i/100%10), '0' + byte(i/10%10), '0' + byte(i%10)}), Type: TypeFile}})
			}
		}
		nodes := MemNodes{}
		return encodeRoot(t, top, MaskPortable, nodes), &counting{MemNodes: nodes}
	}
	a, aN := build(-1)
	b, bN := build(54_321)
	got := diffs(t, aN, a, bN, b)
	if len(got) != 1 || got["f4321"] != Removed {
		t.Fatal(got)
	}
	if aN.n > 6 || bN.n > 6 || len(aN.MemNodes) < 100 {
		t.Errorf("%d and %d of %d nodes read", aN.n, bN.n, len(aN.MemNodes))
	}
}

func TestDiffOfTypesAndTops(t *testing.T) {
	dir := func(children ...*sample) *sample { return &sample{entry: Entry{Type: TypeDir}, children: children} }
	x := &sample{entry: Entry{Name: "x", Type: TypeFile}}
	xDir := &sample{entry: Entry{Name: "x", Type: TypeDir}, children: []*sample{{entry: Entry{Name: "y", Type: TypeFile}}}}
	nodes := MemNodes{}
	root := func(s *sample) *Root { return encodeRoot(t, s, MaskPortable, nodes) }
	for _, c := range []struct {
		a, b *sample
		want map[string]ChangeKind
	}{
		{dir(x), dir(xDir), map[string]ChangeKind{"x": Removed, "x again": Added, "x/y": Added}},
		{dir(xDir), dir(x), map[string]ChangeKind{"x": Removed, "x/y": Removed, "x again": Added}},
		{dir(), dir(xDir), map[string]ChangeKind{"x": Added, "x/y": Added}},
		{x, dir(x), map[string]ChangeKind{"x": Removed, "": Added, "x again": Added}},
		{x, x, map[string]ChangeKind{}},
	} {
		if got := diffs(t, nodes, root(c.a), nodes, root(c.b)); !maps.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	stop := errors.New("stop")
	fn := func(err error) func(Change) error { return func(Change) error { return err } }
	if err := Diff(ctx, nodes, root(dir(x)), nodes, root(dir()), fn(stop)); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := Diff(ctx, nodes, root(dir(x)), nodes, root(dir()), fn(SkipAll)); err != nil {
		t.Error(err)
	}
}

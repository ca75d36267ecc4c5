package recipe

import (
	"fmt"
	"testing"
)

func benchDir(b *testing.B, n int) (*Root, MemNodes) {
	b.Helper()
	top := &sample{entry: Entry{Type: TypeDir}}
	for i := range n {
		top.children = append(top.children, &sample{
			entry: Entry{Name: fmt.Sprintf("file%07d", i), Type: TypeFile, Mode: 0o644, MTime: int64(i) * 1e9, Size: 20_000},
			refs:  []Ref{{ID: BLAKE3.Chunk(fmt.Append(nil, i)), Bytes: 20_000, Chunks: 1}},
		})
	}
	nodes := MemNodes{}
	return encodeRoot(b, top, MaskPortable, nodes), nodes
}

func BenchmarkWalk(b *testing.B) {
	const n = 100_000
	root, nodes := benchDir(b, n)
	b.ReportAllocs()
	for b.Loop() {
		if err := Walk(ctx, nodes, root, func(Item) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
}

func BenchmarkLookup(b *testing.B) {
	root, nodes := benchDir(b, 100_000)
	i := 0
	for b.Loop() {
		i = (i + 7919) % 100_000
		if _, err := Lookup(ctx, nodes, root, fmt.Sprintf("file%07d", i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDirBuilder(b *testing.B) {
	b.ReportAllocs()
	e := Entry{Type: TypeFile, Mode: 0o644, Size: 20_000, Content: List{Refs: []Ref{{ID: ID{1}, Bytes: 20_000, Chunks: 1}}}}
	d := NewDirBuilder(MaskPortable, func(k Kind, raw []byte) (ID, error) { return BLAKE3.Node(k, raw), nil })
	i := 0
	for b.Loop() {
		e.Name = fmt.Sprintf("%012d", i)
		i++
		if err := d.Add(&e); err != nil {
			b.Fatal(err)
		}
	}
}

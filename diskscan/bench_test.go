package diskscan

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/blake3"

	"dfetch/recipe"
)

// madeUpChunks are chunks of 16 KiB that no file has.
func madeUpChunks(n int) []Chunk {
	chunks := make([]Chunk, n)
	for i := range chunks {
		chunks[i] = Chunk{ID: blake3.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))), Offset: int64(i) << 14, Len: 1 << 14}
	}
	return chunks
}

func BenchmarkIndexAdd(b *testing.B) {
	x := openIndex(b, IndexConfig{Dir: b.TempDir()})
	const slice = 512
	chunks := madeUpChunks(64 * slice)
	file := uint64(0)
	for b.Loop() {
		file++
		at := HashState{stamp: stamp{fs: 1, ino: file, size: int64(len(chunks)) << 14}}
		for i := 0; i < len(chunks); i += slice {
			done := i+slice == len(chunks)
			at.indexed = x.add("/some/path", &at, chunks[i:i+slice], done)
			at.Offset += slice << 14
		}
		if err := x.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(chunks)*b.N)/b.Elapsed().Seconds(), "chunks/s")
}

func BenchmarkCheck(b *testing.B) {
	x := openIndex(b, IndexConfig{Dir: b.TempDir()})
	chunks := madeUpChunks(1 << 17)
	at := HashState{stamp: stamp{fs: 1, ino: 1, size: 1 << 40}}
	x.add("/some/path", &at, chunks, true)
	if err := x.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	d := open(b, ScopeConfig{}, Config{Index: x})
	for _, hit := range []bool{true, false} {
		b.Run(fmt.Sprintf("hit=%v", hit), func(b *testing.B) {
			ids := make([]recipe.ID, 0, 1<<15)
			for _, c := range chunks[:cap(ids)] {
				if !hit {
					c.ID[15] ^= 1
				}
				ids = append(ids, c.ID)
			}
			for b.Loop() {
				if _, err := d.lookup(b.Context(), ids); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "ids/s")
		})
	}
}

func BenchmarkStat(b *testing.B) {
	dir := b.TempDir()
	const files = 20_000
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("some-file-%d.txt", i)), []byte{1}, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		d := open(b, ScopeConfig{Roots: []string{dir}}, Config{})
		if n := len(listAll(b, d)); n != files {
			b.Fatalf("%d files", n)
		}
	}
	b.ReportMetric(float64(files*b.N)/b.Elapsed().Seconds(), "entries/s")
}

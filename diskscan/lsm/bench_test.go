package lsm

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func BenchmarkGet(b *testing.B) {
	for _, tables := range []int{1, 8} {
		for _, hit := range []bool{true, false} {
			b.Run(fmt.Sprintf("tables=%d/hit=%v", tables, hit), func(b *testing.B) {
				const n = 1 << 18
				db := New()
				db.failed.Store(true) // no merges
				fillTables(b, db, tables, n/tables)
				rows := numberedRows(0, n)
				if !hit {
					rows = numberedRows(n, 2*n)
				}
				rows = rows[:1<<14]
				slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key, b.key) })
				b.ResetTimer()
				for b.Loop() {
					f := db.Finder()
					for _, r := range rows {
						if _, ok, err := f.Get(r.key); ok != hit || err != nil {
							b.Fatal(ok, err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/key")
			})
		}
	}
}

// One key alone, in no order: what a file's row costs.
func BenchmarkGetAlone(b *testing.B) {
	db := open(b, Config{Dir: b.TempDir()})
	const n = 1 << 19
	apply(b, db, numberedRows(0, n)...)
	check(b, db.Flush())
	i := 0
	for b.Loop() {
		if i++; i == n {
			i = 0
		}
		if _, ok, err := db.Get(numbered(i).key); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	check(b, db.Close())
}

// Many small rows into tables, with their merges.
func BenchmarkApply(b *testing.B) {
	db := open(b, Config{Dir: b.TempDir(), Thorough: true})
	i := 0
	for b.Loop() {
		apply(b, db, numberedRows(i, i+1000)...)
		i += 1000
	}
	check(b, db.Close())
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "rows/s")
}

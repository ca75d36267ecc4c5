package costmodel

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"dfetch/costmodel/homes"
)

// largePlanner wants a tree of so many files and knows a disk with as many, half of them under the
// name of a wanted one.
func largePlanner(files int) (*Planner, time.Time) {
	const each = 25 // files in a directory
	p := NewPlanner(Config{}, NewCosts())
	path := func(i int) []string {
		return []string{"home", "user", fmt.Sprint("project", i/each/1000), fmt.Sprint("part", i/each/50), fmt.Sprint("dir", i/each)}
	}
	name := func(i int) string { return fmt.Sprintf("f%x.dat", i*7919) }
	for i := range files {
		s, _ := p.AddSource(SourceFile{Path: NewPath(path(i), name(i)), Size: int64(1000 + i%99991*10), MTime: int64(i)})
		p.Want(p.Group(s), 10, 160<<10)
	}
	var dir DirID
	for i := range files {
		if i%each == 0 {
			where := path(i)
			where[1] = "backup"
			dir, _ = p.AddRoot(where, 0)
		}
		n := name(i)
		if i%2 == 1 {
			n = fmt.Sprintf("other%d.txt", i)
		}
		p.AddFile(dir, n, int64(1000+i%99991*10), int64(i))
	}
	now := time.Unix(0, 0)
	for p.sweep.waits() {
		now = now.Add(sweepPause)
		p.Next(now)
	}
	return p, now
}

// BenchmarkMillion is the scheduling of a million wanted files, ten million chunks, against a million
// files of the disk.
func BenchmarkMillion(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	p, now := largePlanner(1_000_000)
	build := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Run("plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			now = now.Add(100 * time.Millisecond)
			p.plan.stale = true
			p.Plan()
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		b.ReportMetric(build.Seconds(), "s/build")
	})
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			op, ok := p.Next(now)
			if !ok {
				b.Skip("everything has been done")
			}
			p.Start(op)
			p.Done(op, Result{Seconds: op.Cost, Units: op.Len})
		}
	})
}

// There is a record of each file that was seen, and memory that is new to a process costs it microseconds a page.
func TestFileIsACacheLine(t *testing.T) {
	if n := unsafe.Sizeof(file{}); n > 64 {
		t.Errorf("the record of a file takes %d bytes", n)
	}
}

// BenchmarkListing is taking in what a search for one file sees: the listings of a made-up home, in the order in which its
// directories were made.
func BenchmarkListing(b *testing.B) {
	h := homes.New(7, homes.Dirs/10, homes.Files/10)
	for b.Loop() {
		p := NewPlanner(Config{}, NewCosts())
		src, _ := p.AddSource(SourceFile{Path: NewPath(homes.WantedDir(), homes.WantedName), Size: homes.WantedSize, MTime: homes.WantedTime})
		p.Want(p.Group(src), homes.WantedSize/chunkBytes, homes.WantedSize)
		known := map[*homes.Dir]DirID{}
		known[h.Dir()], _ = p.AddRoot(nil, 0)
		for _, d := range h.Dirs {
			id := known[d]
			for _, c := range d.Dirs {
				known[c], _ = p.AddDir(id, c.Path[len(c.Path)-1], 0)
			}
			for _, f := range d.Files {
				p.AddFile(id, f.Name, f.Size, f.MTime)
			}
		}
	}
	entries := float64(len(h.Dirs) + homes.Files/10)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}

func BenchmarkProbability(b *testing.B) {
	s := SourceFile{Path: NewPath([]string{"home", "u", "src", "go", "net"}, "transport-1.2.go"), Size: 1000, MTime: 5}
	c := Candidate{Path: NewPath([]string{"home", "u", "old", "go", "net"}, "transport-1.3.go"), Size: 1010, MTime: 7}
	b.ReportAllocs()
	for b.Loop() {
		Probability(&s, &c)
	}
}

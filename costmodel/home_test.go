package costmodel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// homeDir is a directory of a made-up home directory.
type homeDir struct {
	path     []string
	children []*homeDir
	files    []homeFile
}

type homeFile struct {
	name  string
	size  int64
	mtime int64
}

// home is a tree as large as the paper's: "The file system had 445,355 files in 37,157 directories,
// occupying 76 GB."
type home struct {
	dirs []*homeDir
	by   map[string]*homeDir
}

var homeWords = []string{
	"src", "lib", "doc", "test", "include", "build", "data", "old", "tmp", "papers", "mail", "photos", "music",
	"config", "main", "util", "net", "disk", "node", "index", "report", "notes", "draft", "fig", "plot", "run",
	"log", "out", "input", "result", "trace", "server", "client", "proto", "cache", "store", "image", "table",
}

var homeTypes = []string{".c", ".h", ".o", ".txt", ".tex", ".pdf", ".jpg", ".mp3", ".html", ".py", ".log", ".gz", ""}

func newHome(seed uint64, dirs, files int) *home {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := &home{by: map[string]*homeDir{}}
	h.dir()
	for _, p := range [][]string{{"s", "y", "n", "c", "test"}, {"s", "y-old", "n", "c", "test"}} {
		h.dir(p...)
	}
	for len(h.dirs) < dirs {
		up := h.dirs[rng.IntN(len(h.dirs))]
		if len(up.path) > 4+rng.IntN(8) {
			continue
		}
		name := homeWords[rng.IntN(len(homeWords))]
		if rng.IntN(3) == 0 {
			name = fmt.Sprint(name, rng.IntN(100))
		}
		h.dir(append(slices.Clone(up.path), name)...)
	}
	for range files {
		d := h.dirs[rng.IntN(len(h.dirs))]
		d.files = append(d.files, randomFile(rng))
	}
	return h
}

// randomFile has a size from a long-tailed distribution with a mean of some 170 KB.
func randomFile(rng *rand.Rand) homeFile {
	size := int64(200 + 4000*rng.ExpFloat64())
	for rng.IntN(4) == 0 {
		size = size * int64(2+rng.IntN(6))
	}
	name := homeWords[rng.IntN(len(homeWords))]
	if rng.IntN(2) == 0 {
		name = fmt.Sprint(name, rng.IntN(1000))
	}
	return homeFile{name + homeTypes[rng.IntN(len(homeTypes))], min(size, 1<<31), rng.Int64N(1e17)}
}

func (h *home) dir(path ...string) *homeDir {
	key := fmt.Sprint(path)
	if d, ok := h.by[key]; ok {
		return d
	}
	d := &homeDir{path: path}
	h.by[key] = d
	h.dirs = append(h.dirs, d)
	if len(path) > 0 {
		up := h.dir(path[:len(path)-1]...)
		up.children = append(up.children, d)
	}
	return d
}

// hunt is one search for one file.
type hunt struct {
	stats, hashed int
	bytes         int64
	found         bool
	seconds       float64 // as predicted
}

const wantedSize, wantedTime = 12_000_000, int64(5e17)

// search looks for a.out of the destination /s/y/n/c/test until the useful file has been hashed.
func (h *home) search(order Order, useful string, in []string) (r hunt) {
	p := NewPlanner(Config{Order: order}, NewCosts())
	src, _ := p.AddSource(SourceFile{Path: NewPath([]string{"s", "y", "n", "c", "test"}, "a.out"), Size: wantedSize, MTime: wantedTime})
	g := p.Group(src)
	p.Want(g, wantedSize/chunkBytes, wantedSize)
	now := time.Unix(0, 0)
	dirs, files := map[DirID]*homeDir{}, map[FileID]string{}
	known := map[*homeDir]bool{}
	for _, d := range []*homeDir{h.dir("s", "y", "n", "c", "test"), h.dir()} {
		id, _ := p.AddRoot(d.path, 0)
		dirs[id], known[d] = d, true
	}
	target := fmt.Sprint(in, useful)
	hashed := map[uint32]bool{}
	for {
		now = now.Add(time.Millisecond)
		op, ok := p.Next(now)
		if !ok {
			return r
		}
		p.Start(op)
		r.seconds += op.Cost
		res := Result{Seconds: op.Cost, Units: op.Len}
		switch op.Kind {
		case OpStat:
			r.stats++
			d := dirs[DirID(op.ID)]
			for _, c := range d.children {
				if !known[c] {
					id, _ := p.AddDir(DirID(op.ID), c.path[len(c.path)-1], 0)
					dirs[id], known[c] = c, true
				}
			}
			for _, f := range d.files {
				id, _ := p.AddFile(DirID(op.ID), f.name, f.size, f.mtime)
				files[id] = fmt.Sprint(d.path, f.name)
			}
			res.Seconds, res.Units = 300e-6+5e-6*float64(len(d.files)), int64(len(d.files))
		case OpHash:
			if !hashed[op.ID] {
				hashed[op.ID] = true
				r.hashed++
			}
			r.bytes += op.Len
			if files[FileID(op.ID)] == target {
				r.found = true
				return r
			}
		}
		p.Done(op, res)
	}
}

// The rows of the paper's Table 3, in a tree of the same size: no larger share of directories listed,
// nor more files or bytes hashed, than the paper's program needed.
func TestTable3(t *testing.T) {
	h := newHome(7, 37157, 445355)
	dest, old := []string{"s", "y", "n", "c", "test"}, []string{"s", "y-old", "n", "c", "test"}
	for i := range int64(8) { // the destination's other files, 70 MB
		d := h.dir(dest...)
		d.files = append(d.files, homeFile{fmt.Sprint("tool", i), 8_000_000 + i*214_000, 1e17})
	}
	for _, row := range []struct {
		name  string
		in    []string
		file  homeFile
		share float64 // of the directories
		files int
		mb    float64
	}{
		{"1", dest, homeFile{"a.out", wantedSize, wantedTime}, 0.0005, 1, 12},
		{"2", dest, homeFile{"a.out", 12_100_000, 3e17}, 0.0005, 1, 12.1},
		{"3", dest, homeFile{"diff", wantedSize, 3e17}, 0.01, 1, 12},
		{"4", old, homeFile{"a.out", wantedSize, wantedTime}, 0.0237, 2, 24.03},
		{"5", old, homeFile{"a.out", 12_100_000, 3e17}, 0.0237, 2, 24.03},
		{"6", old, homeFile{"diff", wantedSize, 3e17}, 0.0598, 2, 24.03},
		{"7", nil, homeFile{"a.out", wantedSize, wantedTime}, 0.1625, 3, 34.03},
		{"8", nil, homeFile{"a.out", 12_100_000, 3e17}, 0.1625, 3, 34.03},
		{"9", nil, homeFile{"diff", wantedSize, 3e17}, 1, 227, 173.8},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := h.dir(row.in...)
			before := d.files
			defer func() { d.files = before }()
			d.files = append(slices.Clone(before), row.file)
			r := h.search(ByCPC, row.file.name, row.in)
			share := float64(r.stats) / float64(len(h.dirs))
			t.Logf("%+v, share %.4f", r, share)
			if !r.found || share > row.share || r.hashed > row.files || float64(r.bytes) > row.mb*1e6 {
				t.Errorf("want at most %v of the directories, %d files, %v MB", row.share, row.files, row.mb)
			}
			if row.name != "6" && row.name != "9" {
				return // breadth first does not look at names, so each third row stands for the two before
			}
			if b := h.search(BFS, row.file.name, row.in); !b.found || b.seconds < r.seconds {
				t.Errorf("this takes %.2f s, breadth first %+v", r.seconds, b)
			}
		})
	}
}

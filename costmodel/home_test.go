package costmodel

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dfetch/costmodel/homes"
)

// hunt is one search for one file.
type hunt struct {
	stats, hashed int
	bytes         int64
	found         bool
	seconds       float64 // as predicted
}

// search looks for a.out of the destination /s/y/n/c/test until the useful file has been hashed.
func search(h *homes.Home, order Order, useful string, in []string) (r hunt) {
	p := NewPlanner(Config{Order: order}, NewCosts())
	src, _ := p.AddSource(SourceFile{Path: NewPath(homes.WantedDir(), homes.WantedName), Size: homes.WantedSize, MTime: homes.WantedTime})
	g := p.Group(src)
	p.Want(g, homes.WantedSize/chunkBytes, homes.WantedSize)
	now := time.Unix(0, 0)
	dirs, files := map[DirID]*homes.Dir{}, map[FileID]string{}
	known := map[*homes.Dir]bool{}
	for _, d := range []*homes.Dir{h.Dir(homes.WantedDir()...), h.Dir()} {
		id, _ := p.AddRoot(d.Path, 0)
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
			for _, c := range d.Dirs {
				if !known[c] {
					id, _ := p.AddDir(DirID(op.ID), c.Path[len(c.Path)-1], 0)
					dirs[id], known[c] = c, true
				}
			}
			for _, f := range d.Files {
				id, _ := p.AddFile(DirID(op.ID), f.Name, f.Size, f.MTime)
				files[id] = fmt.Sprint(d.Path, f.Name)
			}
			res.Seconds, res.Units = 300e-6+5e-6*float64(len(d.Files)), int64(len(d.Files))
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
	h := homes.New(7, homes.Dirs, homes.Files)
	for _, row := range homes.Table3() {
		t.Run(row.Name, func(t *testing.T) {
			d := h.Dir(row.In...)
			before := d.Files
			defer func() { d.Files = before }()
			d.Files = append(slices.Clone(before), row.Useful)
			r := search(h, ByCPC, row.Useful.Name, row.In)
			share := float64(r.stats) / float64(len(h.Dirs))
			t.Logf("%+v, share %.4f", r, share)
			if !r.found || share > row.Share || r.hashed > row.Hashed || float64(r.bytes) > row.Bytes {
				t.Errorf("want at most %.4f of the directories, %d files, %.1f MB", row.Share, row.Hashed, row.Bytes/1e6)
			}
			if row.Name != "6" && row.Name != "9" {
				return // breadth first does not look at names, so each third row stands for the two before
			}
			if b := search(h, BFS, row.Useful.Name, row.In); !b.found || b.seconds < r.seconds {
				t.Errorf("this takes %.2f s, breadth first %+v", r.seconds, b)
			}
		})
	}
}

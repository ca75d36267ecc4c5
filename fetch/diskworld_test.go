package fetch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// simDisk is a simulated disk in virtual time. Operations take their turn: the disk does one at a time.
type simDisk struct {
	statCost float64 // seconds a directory, and a hundredth of it an entry
	rate     float64 // bytes a second of reading and hashing
	dirs     []simDir
	files    []simFile // by the number that the core was told; filled as directories are listed
	numbers  []uint32  // simDir of each directory number
	free     time.Time
	next     map[uint32]int64 // how far a file has been hashed
}

type simDir struct {
	name  string
	dirs  []int
	files []simFile
}

// simFile is a file of the disk: holds maps its chunks, in order, to wanted ordinals (-1: of no use).
type simFile struct {
	name  string
	size  int64
	mtime int64
	holds []int
	chunk int64 // bytes a chunk
}

// time is what looking at everything takes.
func (d *simDisk) time() float64 {
	var t float64
	for _, dir := range d.dirs {
		t += d.statCost * (1 + float64(len(dir.files))/100)
		for _, f := range dir.files {
			t += float64(f.size) / d.rate
		}
	}
	return t
}

// has are the wanted ordinals that some file of the disk holds.
func (d *simDisk) has() map[int]bool {
	has := map[int]bool{}
	for _, dir := range d.dirs {
		for _, f := range dir.files {
			for _, o := range f.holds {
				if o >= 0 {
					has[o] = true
				}
			}
		}
	}
	return has
}

// do carries out a disk operation after those before it.
func (w *world) disk(seconds float64, do func()) {
	if w.d.free.Before(w.now) {
		w.d.free = w.now
	}
	w.d.free = w.d.free.Add(time.Duration(seconds * 1e9))
	w.after(w.d.free.Sub(w.now), do)
}

func (w *world) stat(id uint32) {
	dir := w.d.dirs[w.d.numbers[id]]
	seconds := w.d.statCost * (1 + float64(len(dir.files))/100)
	w.disk(seconds, func() {
		ev := Event{Kind: EvStated, ID: id, FirstFile: uint32(len(w.d.files)), FirstDir: uint32(len(w.d.numbers)), Seconds: seconds, Units: int64(len(dir.files) + len(dir.dirs))}
		for _, f := range dir.files {
			w.d.files = append(w.d.files, f)
			ev.Files = append(ev.Files, DiskFile{Name: f.name, Size: f.size, MTime: f.mtime})
		}
		for _, sub := range dir.dirs {
			w.d.numbers = append(w.d.numbers, uint32(sub))
			ev.Dirs = append(ev.Dirs, w.d.dirs[sub].name)
		}
		w.core.Step(w.now, ev)
	})
}

const simSlice = 8 << 20

func (w *world) hash(id uint32) {
	f, from := w.d.files[id], w.d.next[id]
	n := min(f.size-from, simSlice)
	w.d.next[id] = from + n
	seconds := float64(n) / w.d.rate
	w.disk(seconds, func() {
		found := 0
		for c := from / f.chunk; c < (from+n)/f.chunk && int(c) < len(f.holds); c++ {
			o := f.holds[c]
			if o < 0 || w.got[uint64(o)] > 0 {
				continue
			}
			found++
			w.got[uint64(o)]++
			w.core.Step(w.now, Event{Kind: EvFound, Ranges: []Range{{uint64(o), 1}}})
		}
		w.core.Step(w.now, Event{Kind: EvHashed, ID: id, Seconds: seconds, Units: n, Found: found, Failed: from+n >= f.size})
	})
}

// diskWorld is a random world: a tree to fetch, a network, and a disk that may hold an older version.
func diskWorld(seed uint64, cfg CoreConfig) (*world, *simSource) {
	rng := rand.New(rand.NewPCG(seed, 9))
	logUniform := func(lo, hi float64) float64 { return lo * math.Pow(hi/lo, rng.Float64()) }
	const size = 16 << 10
	src := &simSource{opens: true, rate: logUniform(1e5, 1e9), rtt: time.Duration(logUniform(1e-4, 0.3) * 1e9)}
	d := &simDisk{statCost: logUniform(2e-5, 2e-3), rate: logUniform(2e7, 1.5e9), next: map[uint32]int64{}}
	w := newWorld(seed, cfg, nil, src)
	w.d = d
	d.dirs = []simDir{{name: "home", dirs: []int{1}}, {name: "old"}}
	d.numbers = []uint32{0}
	w.core.Step(w.now, Event{Kind: EvRoot, ID: 0, Root: []string{"home"}})
	files, similar := 1+rng.IntN(60), []float64{0, 0, 0.5, 0.99, 1}[rng.IntN(5)]
	for i := range files {
		chunks := 1 + rng.IntN(400)
		first := len(w.lens)
		w.lens = append(w.lens, lensOf(chunks, size)...)
		name := fmt.Sprintf("part%d.dat", i)
		w.core.Step(w.now, Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new"}, Name: name, Size: int64(chunks) * size, MTime: 1e18}})
		w.core.Step(w.now, Event{Kind: EvPlanned, First: uint64(first), Lens: lensOf(chunks, size), Group: uint32(i)})
		old := simFile{name: name, size: int64(chunks) * size, mtime: 2e18, chunk: size}
		for c := range chunks {
			o := first + c
			if rng.Float64() >= similar {
				o = -1
			}
			old.holds = append(old.holds, o)
		}
		d.dirs[1].files = append(d.dirs[1].files, old)
	}
	for i := range rng.IntN(300) { // what has nothing to do with it
		d.dirs = append(d.dirs, simDir{name: fmt.Sprintf("junk%d", i), files: []simFile{{name: "x.bin", size: int64(rng.IntN(1 << 24)), chunk: size, mtime: 3e18}}})
		d.dirs[0].dirs = append(d.dirs[0].dirs, len(d.dirs)-1)
	}
	return w, src
}

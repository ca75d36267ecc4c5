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
	starts   []simOp
	cached   bool // all files are in memory

	seek float64 // seconds, unless an operation goes on in the file of the one before it
	head uint32  // that file's number
}

// simOp is when the disk began with an operation, and how long it took.
type simOp struct {
	at      time.Time
	seconds float64
}

// simSliceTime is after how many seconds the shell ends a slice early.
const simSliceTime = 0.5

type simDir struct {
	name  string
	dirs  []int
	files []simFile
	hangs bool // listing it takes as long as the shell waits
}

// simStall is how long the shell waits for a disk that does not answer.
const simStall = 20 * time.Second

// simFile is a file of the disk: holds maps its chunks, in order, to wanted ordinals (-1: of no use).
type simFile struct {
	name  string
	size  int64
	mtime int64
	holds []int
	chunk int64 // bytes a chunk
	// number is that of the wanted file whose version it is.
	number uint32
}

// moveTo is what it takes to get to a file.
func (d *simDisk) moveTo(file uint32) float64 {
	if d.head == file {
		return 0
	}
	d.head = file
	return d.seek
}

// time is what looking at everything takes.
func (d *simDisk) time() float64 {
	var t float64
	for _, dir := range d.dirs {
		if dir.hangs {
			continue
		}
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
	w.d.starts = append(w.d.starts, simOp{w.d.free, seconds})
	w.d.free = w.d.free.Add(time.Duration(seconds * 1e9))
	w.after(w.d.free.Sub(w.now), do)
}

func (w *world) stat(id uint32) {
	dir := w.d.dirs[w.d.numbers[id]]
	if dir.hangs {
		w.hung++
		w.after(simStall, func() {
			w.core.Step(w.now, Event{Kind: EvStated, ID: id, Seconds: simStall.Seconds(), Failed: true, Stalled: true})
		})
		return
	}
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

// hash hashes so much of a file, in whole chunks.
func (w *world) hash(id uint32, count int64) {
	f, from := w.d.files[id], w.d.next[id]
	count = min(count, int64(w.d.rate*simSliceTime))
	n := min(f.size-from, max(f.chunk, count/f.chunk*f.chunk))
	w.d.next[id] = from + n
	seconds := float64(n)/w.d.rate + w.d.moveTo(id)
	w.disk(seconds, func() {
		found, late := 0, lateChunks{}
		for c := from / f.chunk; c < (from+n)/f.chunk && int(c) < len(f.holds); c++ {
			o := f.holds[c]
			if o >= 0 && w.got[uint64(o)] > 0 {
				late.add(uint64(o), f.number)
			}
			if o < 0 || w.got[uint64(o)] > 0 {
				continue
			}
			found++
			w.got[uint64(o)]++
			w.core.Step(w.now, Event{Kind: EvFound, Ranges: []Range{{uint64(o), 1}}, InOrder: true})
		}
		ev := Event{Kind: EvHashed, ID: id, Seconds: seconds, Units: n, Found: found, Cached: w.d.cached, Failed: from+n >= f.size}
		late.tell(&ev)
		w.core.Step(w.now, ev)
	})
}

// diskWorld is a random world: a tree to fetch, a network, and a disk that may hold an older version.
func diskWorld(seed uint64, cfg CoreConfig) (*world, *simSource) {
	rng := rand.New(rand.NewPCG(seed, 9))
	logUniform := func(lo, hi float64) float64 { return lo * math.Pow(hi/lo, rng.Float64()) }
	src := &simSource{opens: true, rate: logUniform(1e5, 1e9), rtt: time.Duration(logUniform(1e-4, 0.3) * 1e9)}
	d := &simDisk{statCost: logUniform(2e-5, 2e-3), rate: logUniform(2e7, 1.5e9)}
	w := newWorld(seed, cfg, nil, src)
	w.addDisk(d)
	files, similar := 1+rng.IntN(60), []float64{0, 0, 0.5, 0.99, 1}[rng.IntN(5)]
	for range files {
		w.addFile(1+rng.IntN(400), func() bool { return rng.Float64() < similar })
	}
	for i := range rng.IntN(300) { // what has nothing to do with it
		d.dirs = append(d.dirs, simDir{name: fmt.Sprintf("junk%d", i), files: []simFile{{name: "x.bin", size: int64(rng.IntN(1 << 24)), chunk: simChunk, mtime: 3e18}}})
		d.dirs[0].dirs = append(d.dirs[0].dirs, len(d.dirs)-1)
	}
	return w, src
}

// simChunk is the length of all chunks.
const simChunk = 16 << 10

// addDisk gives a world a disk with a directory for old versions.
func (w *world) addDisk(d *simDisk) {
	d.next = map[uint32]int64{}
	d.dirs = []simDir{{name: "home", dirs: []int{1}}, {name: "old"}}
	d.numbers = []uint32{0}
	w.d = d
	w.core.Step(w.now, Event{Kind: EvRoot, ID: 0, Root: []string{"home"}})
}

// addHung gives a world another disk, at the very place of what is wanted, that hangs once its top was listed: so many
// directories there can't be.
func (w *world) addHung(dirs int) {
	top := simDir{name: "new"}
	for i := range dirs {
		top.dirs = append(top.dirs, len(w.d.dirs))
		w.d.dirs = append(w.d.dirs, simDir{name: fmt.Sprintf("part%d", i), hangs: true})
	}
	w.d.numbers = append(w.d.numbers, uint32(len(w.d.dirs)))
	w.d.dirs = append(w.d.dirs, top)
	w.core.Step(w.now, Event{Kind: EvRoot, ID: uint32(len(w.d.numbers) - 1), Root: []string{"home", "new"}, Device: 1})
}

// addFile plans a file of so many chunks, of which the disk holds an old version with those for which
// has says so.
func (w *world) addFile(chunks int, has func() bool) {
	old := &w.d.dirs[1].files
	number, first := len(*old), len(w.lens)
	lens := lensOf(chunks, simChunk)
	w.lens = append(w.lens, lens...)
	f := simFile{name: fmt.Sprintf("part%d.dat", number), size: sum(lens), mtime: 2e18, chunk: simChunk, number: uint32(number)}
	w.core.Step(w.now, Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new"}, Name: f.name, Size: f.size, MTime: 1e18}})
	w.core.Step(w.now, Event{Kind: EvPlanned, First: uint64(first), Lens: lens, Group: uint32(number)})
	for c := range chunks {
		if has() {
			f.holds = append(f.holds, first+c)
		} else {
			f.holds = append(f.holds, -1)
		}
	}
	*old = append(*old, f)
}

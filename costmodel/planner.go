package costmodel

import "time"

// maxRunning bounds the operations under way.
const maxRunning = 256

// Planner knows what is wanted and what the disk has, and says which disk operation to do next and
// when chunks will come. It is not safe for concurrent use. Its memory is bounded by Config.
//
// The caller adds wanted files and chunks, then directories to start from; does the operation that
// Next names; reports what it saw with AddDir and AddFile; then calls Done.
type Planner struct {
	placed  int // groups with a home
	cfg     Config
	costs   *Costs
	groups  groups
	dirs    table[dir]
	files   table[file]
	more    table[otherPairs]
	runs    table[run]
	names   names
	queues  [maxDevices][opKinds]lane
	devices int // whose lanes have been used: 0 … devices-1
	steady  [maxDevices]steady
	priced  [maxDevices]prices
	silent  [maxDevices + 1]silence
	running []Op
	now     time.Time // of the last call of Next
	check   check
	w       float64 // weight of STATs
	learned learned
	raise   raise
	luck    luck
	dropped int64
	sweep   sweep
	plan    plan
	network float64 // seconds a byte
	named   namesakes
	place   place    // scratch: the directory in which files were compared last
	matched pairs    // scratch: those of the file that was compared last
	found   []uint32 // scratch: sources that a file is compared with
	aside   []item   // scratch: items passed over in Next
	covered []Hit    // scratch: what the runs that are being read have
}

// lane is the queue of one kind of operation on one device.
type lane struct {
	queue
	live  int     // valid items
	units float64 // bytes, or directories, that they stand for
}

// dir is a directory of the disk.
type dir struct {
	comp   uint64
	base   uint64 // see baseHash
	parent uint32 // dir + 1
	depth  uint8
	dev    Device
	state  state
	key    float32
	sum    float32 // Σ commonality over the wanted chunks
	top    float32 // largest commonality
	of     float32 // chunks that were wanted then
	best   float32 // lowest CPC of the files seen in it; 0 if there is none
}

// file is a file of the disk. There are so many that a record is no longer than a cache line; what few of them need lies
// elsewhere.
type file struct {
	name   nameRef
	dir    uint32
	group  uint32 // that it is most likely to bring chunks of, or one of those: see Planner.pair
	size   int64
	mtime  int64
	hashed int64 // bytes
	key    float32
	rest   float32 // expected chunks of groups that have no pair
	of     float32 // chunks that were wanted then
	prob   float32 // that it has the group's chunks
	more   uint32  // its other pairs in Planner.more, and one; 0: it never had any
	pairs  uint8   // how many
	hits   uint8   // slices with a wanted chunk
	misses uint8   // slices without
	state  state
}

// run is a run of indexed chunks.
type run struct {
	bytes int64 // to read, gaps included
	key   float32
	dev   Device
	state state
	hits  []Hit
	due   time.Time // when it is late, once it is being read
}

// Hit says how many wanted chunks of a group a run has.
type Hit struct {
	Group  GroupID
	Chunks int
}

// NewPlanner makes a planner that predicts with costs, which the caller may also feed.
func NewPlanner(cfg Config, costs *Costs) *Planner {
	return &Planner{
		cfg:     cfg.withDefaults(),
		costs:   costs,
		groups:  newGroups(),
		w:       1,
		devices: 1,
		check:   check{hits: 1, misses: 1},
		found:   make([]uint32, 0, maxFound),
		aside:   make([]item, 0, maxAside),
	}
}

// AddSource adds a wanted file; false if there are too many.
func (p *Planner) AddSource(f SourceFile) (SourceID, bool) {
	if p.groups.sources.n >= p.cfg.MaxSources {
		return 0, false
	}
	return p.groups.addSource(&f), true
}

// AddPlace tells of another place where a wanted file may have stood, as what is a part of a tree also has its place in the whole
// tree. It counts for groups that are made later, of this file alone. False if there are many files already: they need the room.
func (p *Planner) AddPlace(id SourceID, dirs []string) bool {
	if p.groups.sources.n >= p.cfg.MaxSources/2 {
		return false
	}
	src := p.groups.sources.at(uint32(id))
	other := p.groups.addSource(&SourceFile{Path: NewPath(dirs, p.groups.names.get(src.name)), Size: src.size, MTime: src.mtime})
	p.groups.sources.at(uint32(id)).also = uint32(other) + 1
	return true
}

// Group returns the group of the chunks that occur in exactly these source files, of which there is
// at least one. Of many files the first few count. Equal sets, in whatever order, have one group.
func (p *Planner) Group(srcs ...SourceID) GroupID { return p.groups.of(srcs) }

// Want adds chunks that are wanted of a group.
func (p *Planner) Want(g GroupID, chunks int, bytes int64) {
	fresh := p.groups.list.at(uint32(g)).chunks == 0
	p.groups.want(g, chunks, bytes)
	if fresh {
		p.reviewNamesakes(g)
	}
	p.sweep.restart(p)
}

// Arrived takes chunks off that are no longer needed of a group, wherever they came from.
func (p *Planner) Arrived(g GroupID, chunks int, bytes int64) { p.groups.want(g, -chunks, -bytes) }

// Wanted is how many chunks and bytes are still wanted.
func (p *Planner) Wanted() (chunks, bytes int64) { return p.groups.chunks, p.groups.bytes }

// AddRoot adds a directory to start from, by the names of its path from the top. False if there are
// too many directories.
func (p *Planner) AddRoot(path []string, dev Device) (DirID, bool) {
	if p.dirs.n+len(path)+1 > p.cfg.MaxDirs {
		p.dropped++
		return 0, false
	}
	id := p.dirs.add(dir{dev: dev, state: ended})
	for _, c := range path {
		id = p.addDir(id, c, dev)
	}
	p.enqueueDir(id)
	return DirID(id), true
}

// AddDir adds a directory that was seen in parent. False if there are too many.
func (p *Planner) AddDir(parent DirID, name string, dev Device) (DirID, bool) {
	if p.dirs.n >= p.cfg.MaxDirs {
		p.dropped++
		return 0, false
	}
	id := p.addDir(uint32(parent), name, dev)
	p.enqueueDir(id)
	return DirID(id), true
}

func (p *Planner) addDir(parent uint32, name string, dev Device) uint32 {
	depth := min(p.dirs.at(parent).depth+1, maxDepth)
	return p.dirs.add(dir{comp: hashString(name), base: baseHash(name), parent: parent + 1, depth: depth, dev: dev, state: ended})
}

// AddFile adds a regular file that was seen in a directory. False if there are too many, or so many
// that only files like a wanted one are kept.
func (p *Planner) AddFile(in DirID, name string, size, mtime int64) (FileID, bool) {
	if p.files.n >= p.cfg.MaxFiles {
		p.dropped++
		return 0, false
	}
	n := partsOf(name[:min(len(name), maxName)])
	f := p.files.next()
	*f = file{dir: uint32(in), size: size, mtime: mtime}
	p.match(f, &n)
	if p.files.n >= p.cfg.MaxFiles/4*3 && p.matched.n == 0 {
		p.dropped++
		return 0, false
	}
	p.keepPairs(f)
	f.name = p.names.add(n.text)
	id := uint32(p.files.n)
	p.files.n++
	p.enqueueFile(id)
	return FileID(id), true
}

// Dropped is how many directories and files were not kept because there are too many.
func (p *Planner) Dropped() int64 { return p.dropped }

// AddRun adds a run of indexed chunks that can be read in one go; bytes counts the gaps too. False if
// there are too many or it has no chunks.
func (p *Planner) AddRun(dev Device, bytes int64, hits []Hit) (RunID, bool) {
	if p.runs.n >= p.cfg.MaxRuns || len(hits) == 0 {
		return 0, false
	}
	id := p.runs.add(run{bytes: bytes, dev: dev, hits: hits[:min(len(hits), maxHits)]})
	p.enqueueRun(id)
	p.plan.stale = true
	return RunID(id), true
}

// maxHits bounds the groups that are kept of a run.
const maxHits = 64

// AddCheck adds ids to look up in the index.
func (p *Planner) AddCheck(ids int64) { p.check.ids += ids }

// Measured tells what a trial read from a device cost; see Costs.Measured.
func (p *Planner) Measured(dev Device, seek, perByte float64) { p.costs.Measured(dev, seek, perByte) }

// SetNetwork tells what a byte from the network costs at the present rate, in seconds; 0 if unknown.
func (p *Planner) SetNetwork(secondsPerByte float64) { p.network = secondsPerByte }

// Start tells that an operation that Next returned is under way. False if it is not to be done.
func (p *Planner) Start(op Op) bool {
	if len(p.running) >= maxRunning || !p.take(op) {
		return false
	}
	if op.Kind == OpRead {
		p.expectRun(op)
	}
	if op.Kind == OpCheck {
		p.check.due = p.now.Add(min(p.expected(op.Cost).Sub(p.now), maxAwaited))
	}
	p.running = append(p.running, op)
	p.weighOpen(op)
	p.plan.stale = true
	return true
}

// Cancel takes an operation back that was started and not done.
func (p *Planner) Cancel(op Op) {
	if p.drop(op) {
		p.requeue(op)
	}
}

// Done tells how an operation ended that was started. What it found is told by AddDir, AddFile,
// AddRun and Arrived before.
func (p *Planner) Done(op Op, r Result) {
	if !p.drop(op) {
		return
	}
	p.answered(op)
	p.observe(op, r)
	switch op.Kind {
	case OpStat:
		p.learnWeight(op)
	case OpHash:
		p.hashed(op, r)
	case OpCheck:
		p.check.done(r)
	}
	p.plan.stale = true
}

// drop takes an operation off those under way.
func (p *Planner) drop(op Op) bool {
	for i := range p.running {
		r := &p.running[i]
		if r.Kind != op.Kind || r.ID != op.ID || r.Offset != op.Offset {
			continue
		}
		p.running = append(p.running[:i], p.running[i+1:]...)
		p.end(op)
		p.weighOpen(op)
		return true
	}
	return false
}

// Next returns the best operation that is not under way, without starting it. False if there is none
// for now.
func (p *Planner) Next(now time.Time) (Op, bool) {
	p.now = now
	p.sweep.step(p, now)
	p.raise.step(p)
	return p.bestOf(0, opKinds, p.awaited())
}

// NextStat is Next among the listings of directories alone, also while none is to be made because of what is under way.
func (p *Planner) NextStat() (Op, bool) { return p.bestOf(OpStat, OpStat+1, false) }

// bestOf is the best operation of the kinds from one on to before another; while something is awaited, not one of those that
// search.
func (p *Planner) bestOf(from, to OpKind, awaited bool) (Op, bool) {
	var best choice
	for d := range p.devices {
		shut := p.shut(Device(d))
		for k := from; k < to; k++ {
			if awaited && (k == OpHash || k == OpStat) || shut && k != OpCheck {
				continue
			}
			if c := p.head(Device(d), k); c.found && (!best.found || c.rank < best.rank) {
				best = c
			}
		}
	}
	return p.chosen(best)
}

// choice is the best operation of a lane.
type choice struct {
	found bool
	kind  OpKind
	dev   Device
	id    uint32
	cpc   float64
	rank  float64
}

// chosen describes the operation of a choice.
func (p *Planner) chosen(c choice) (Op, bool) {
	switch {
	case !c.found:
		return Op{}, false
	case c.kind == OpCheck:
		op, _, ok := p.checkOp(c.dev)
		return op, ok
	}
	return p.op(c.kind, c.id, c.cpc), true
}

package fetch

import (
	"math"
	"slices"
	"time"

	"dfetch/backpressure"
	"dfetch/costmodel"
)

// search is the core's part that looks for chunks on the receiver's own disk: what it wants, in
// groups by file; what it knows of the disk; and whether the disk is worth its time now.
type search struct {
	planner *costmodel.Planner
	disk    *backpressure.Disk // the core's
	worth   backpressure.Worth
	groups  []group
	dirs    numbers  // by costmodel.DirID
	files   numbers  // by costmodel.FileID
	runs    []uint32 // the same of each costmodel.RunID
	index   bool
	running []running
	depths  map[costmodel.Device]int // operations at one time, of those that were measured
	full    []costmodel.Device       // on which nothing more is to be begun now
	batch   uint32                   // number of the newest batch
	order   []uint32                 // groups, those that the disk will bring last first; nil: as they were planned
	pos     int                      // order[:pos] has been asked for
	refused bool                     // the network does better at present
	reason  string                   // of that
	waiting bool                     // an operation is worth doing, now or later

	byID          []uint32  // groups by costmodel.GroupID
	promises      []promise // runs to be read
	expected      int64     // chunks of the newest group that are not planned yet
	expectedBytes int64     // their lengths
	hold          hold
	behind        behind
	abreast       abreast
	crowd         crowd
	barren        int       // directories listed in a row that placed no wanted file
	justPlanned   bool      // the last decision made a plan
	progress      time.Time // when an operation ended, or began beside no other
	gain          time.Time // when the disk brought chunks
	due           []uint32  // groups that are due
	openAt        time.Time // of the first look at the disk
	opened        bool      // it is over
}

// group is the chunks of one wanted file.
type group struct {
	id      costmodel.GroupID
	known   bool   // the cost model has it
	held    bool   // its chunks are left to the disk for now
	begin   uint64 // ordinal of its first chunk
	first   uint64 // ordinal of its next chunk in order, and the end of them
	end     uint64
	unasked int    // chunks that no source was ever asked for
	older   uint32 // the shell's number + 1 of a file that is probably an older version and had nothing; 0: none
	due     bool   // it is to be compared with that
}

// running is an operation that has been given to the shell.
type running struct {
	op     costmodel.Op
	id     uint32        // the shell's number of the directory or file
	batch  uint32        // operations of one number count as one
	before time.Duration // what those of its batch took that have ended
	since  time.Time     // when it began, or went on
	late   bool          // see search.watch
}

func newSearch(cfg CoreConfig, disk *backpressure.Disk) *search {
	return &search{
		index:   cfg.Index,
		planner: costmodel.NewPlanner(costmodel.Config{Order: cfg.DiskOrder, MaxFiles: maxDiskFiles, MaxDirs: maxDiskFiles, MaxSources: maxSought}, costmodel.NewCosts()),
		disk:    disk,
	}
}

// maxDiskFiles bounds the files, and the directories, of the disk that are kept in mind.
const maxDiskFiles = 256 << 10

// maxSought bounds the wanted files that are looked for at one time by name, size and place. The chunks
// of further ones are still noticed where they are met.
const maxSought = 256 << 10

// searchStep takes in the events of the disk.
func (c *Core) searchStep(now time.Time, ev Event) {
	s := c.search
	if s == nil {
		return
	}
	switch ev.Kind {
	case EvDevice:
		s.measured(ev)
	case EvFile:
		c.expectNoMore()
		s.addGroup(ev)
		c.expect(ev.File)
	case EvRoot:
		s.addRoot(ev)
	case EvStated:
		s.stated(now, &ev)
	case EvHashed:
		c.hashed(now, ev)
	case EvRecalled:
		c.addRuns(now, ev)
	case EvNear:
		c.near(ev)
	case EvFine:
		c.fine(now, ev)
	case EvChecked:
		c.addRuns(now, ev)
		s.ended(now, costmodel.OpCheck, ev)
	case EvRead:
		c.worked(ev)
		if r, ok := s.take(costmodel.OpRead, ev.ID); ok {
			s.end(now, r, ev)
			c.release(r.op.ID)
		}
	}
}

func (s *search) addGroup(ev Event) {
	f := ev.File
	src, ok := s.planner.AddSource(costmodel.SourceFile{Path: costmodel.NewPath(f.Dirs, f.Name), Size: f.Size, MTime: f.MTime})
	g := group{known: ok}
	if ok {
		if len(f.Tree) > 0 && !slices.Equal(f.Tree, f.Dirs) {
			s.planner.AddPlace(src, f.Tree) // without it the search takes longer, and that is all
		}
		g.id = s.planner.Group(src)
		for int(g.id) >= len(s.byID) {
			s.byID = append(s.byID, 0)
		}
		s.byID[g.id] = uint32(len(s.groups))
	}
	s.groups = append(s.groups, g)
}

// planned notes chunks of the group that was added last, or of an earlier one.
func (s *search) planned(ev Event) {
	if int(ev.Group) >= len(s.groups) {
		return
	}
	g := &s.groups[ev.Group]
	if g.end == 0 {
		g.begin = ev.First
	}
	if g.first == g.end {
		g.first = ev.First
	}
	g.end = ev.First + uint64(len(ev.Lens))
	g.unasked += len(ev.Lens)
	if g.known {
		var bytes int64
		for _, n := range ev.Lens {
			bytes += int64(n)
		}
		n, bytes := s.planExpected(g, len(ev.Lens), bytes)
		s.planner.Want(g.id, n, bytes)
	}
	if id, ok := s.olderVersion(g); ok {
		s.compareWith(ev.Group, id)
	}
	if s.index {
		s.planner.AddCheck(int64(len(ev.Lens)))
	}
}

// olderVersion is the shell's number of a file that was read before a group's chunks were known, had nothing that was
// wanted then, and probably is an older version.
func (s *search) olderVersion(g *group) (uint32, bool) {
	if g.older != 0 {
		return g.older - 1, true
	}
	if !g.known {
		return 0, false
	}
	id, ok := s.planner.ReadBefore(g.id, maxWholeFile, wholeFileProb)
	if !ok {
		return 0, false
	}
	return s.files.of(uint32(id)), true
}

// settled notes that a chunk is no longer wanted.
func (s *search) settled(ch *chunk) {
	if int(ch.group) < len(s.groups) && s.groups[ch.group].known {
		s.planner.Arrived(s.groups[ch.group].id, 1, int64(ch.len))
	}
}

func (s *search) addRoot(ev Event) {
	if id, ok := s.planner.AddRoot(ev.Root, costmodel.Device(ev.Device)); ok {
		s.dirs.set(uint32(id), ev.ID)
	}
}

func (s *search) setRun(id costmodel.RunID, number uint32) {
	for int(id) >= len(s.runs) {
		s.runs = append(s.runs, math.MaxUint32)
	}
	s.runs[id] = number
}

// take ends a running operation.
func (s *search) take(kind costmodel.OpKind, id uint32) (running, bool) {
	i := slices.IndexFunc(s.running, func(r running) bool { return r.op.Kind == kind && r.id == id })
	if i < 0 {
		return running{}, false
	}
	r := s.running[i]
	s.running = slices.Delete(s.running, i, i+1)
	return r, true
}

// stated takes in a listing, or a part of it: More says that the rest follows.
func (s *search) stated(now time.Time, ev *Event) {
	i := slices.IndexFunc(s.running, func(r running) bool { return r.op.Kind == costmodel.OpStat && r.id == ev.ID })
	if i < 0 {
		return
	}
	r := s.running[i]
	op, placed := r.op, s.planner.PlacedGroups()
	for k, name := range ev.Dirs {
		if id, ok := s.planner.AddDir(costmodel.DirID(op.ID), name, op.Dev); ok {
			s.dirs.set(uint32(id), ev.FirstDir+uint32(k))
		}
	}
	for k, f := range ev.Files {
		if id, ok := s.planner.AddFile(costmodel.DirID(op.ID), f.Name, f.Size, f.MTime); ok {
			s.files.set(uint32(id), ev.FirstFile+uint32(k))
		}
	}
	if s.barren++; s.planner.PlacedGroups() > placed {
		s.barren = 0
	}
	if ev.More {
		s.running[i].since = now
		return
	}
	s.running = slices.Delete(s.running, i, i+1)
	s.end(now, r, *ev)
}

// addRuns takes in stretches of files that hold wanted chunks.
func (c *Core) addRuns(now time.Time, ev Event) {
	s := c.search
	for i, r := range ev.Runs {
		hits := make([]costmodel.Hit, 0, len(r.Hits))
		for _, h := range r.Hits {
			if int(h.Group) < len(s.groups) && s.groups[h.Group].known {
				hits = append(hits, costmodel.Hit{Group: s.groups[h.Group].id, Chunks: h.Chunks})
			}
		}
		if id, ok := s.planner.AddRun(costmodel.Device(r.Device), r.Bytes, hits); ok {
			s.setRun(id, ev.FirstFile+uint32(i))
			c.promise(now, uint32(id), r.Ranges)
		}
	}
}

// searchRefused says whether the network does better than the disk at present.
func (c *Core) searchRefused() bool { return c.search != nil && c.search.refused }

// searchReason is why, if it does.
func (c *Core) searchReason() string { return c.search.reason }

// searchDropped is how many directories and files are not known to the cost model, as there are too many.
func (c *Core) searchDropped() int64 {
	if c.search == nil {
		return 0
	}
	return c.search.planner.Dropped()
}

// searching says whether the disk may still bring something.
func (c *Core) searching() bool {
	return c.search != nil && (c.search.waiting || len(c.search.running) > 0)
}

// searchNext starts the disk operations that are worth it now. It says when to ask again.
func (c *Core) searchNext(now time.Time) time.Time {
	s := c.search
	if s == nil || c.wanted == 0 && s.expected == 0 {
		return time.Time{}
	}
	rate := c.netRate(now)
	if rate > 0 {
		s.planner.SetNetwork(1 / rate)
	}
	late := s.watch(now)
	for {
		s.markFull()
		op, again, ok := s.next(now, c, rate)
		if !ok {
			return earlier(again, late)
		}
		if !s.start(now, c, op) {
			return late // the end of one that is running wakes the core
		}
		s.fillBatch(now, c, op, rate)
	}
}

// next is the operation to start now; else when to ask again.
func (s *search) next(now time.Time, c *Core, rate float64) (costmodel.Op, time.Time, bool) {
	if c.cfg.NoPressure {
		return s.nextAnyhow(now, c.cfg.SearchDepth)
	}
	if v := c.disk.Allow(now, backpressure.Read); !v.Allow {
		return costmodel.Op{}, v.Again, false
	}
	op, again, ok := s.best(now)
	if !ok {
		return op, again, false
	}
	if op.Kind != costmodel.OpRead {
		if v := c.disk.Allow(now, backpressure.Search); !v.Allow {
			return op, v.Again, false
		}
	}
	if op.Kind == costmodel.OpHash && s.hold.unplaced > 0 && !s.listing() {
		if list, ok := s.listingWorth(now, c, rate); ok {
			return list, time.Time{}, true
		}
	}
	v := s.worthIt(now, c, op, rate)
	return op, v.Again, v.Allow
}

// worthIt weighs an operation against the network, which brings rate bytes a second.
func (s *search) worthIt(now time.Time, c *Core, op costmodel.Op, rate float64) backpressure.Verdict {
	o := s.offer(now, c, op, rate)
	v := c.cpu.AllowSearch(now, o)
	if v.Allow {
		v = s.worth.Allow(now, o)
	}
	s.refused, s.reason = !v.Allow, v.Reason
	return v
}

func (s *search) offer(now time.Time, c *Core, op costmodel.Op, rate float64) backpressure.Offer {
	o := backpressure.Offer{Cost: op.Cost, Useful: op.Useful, Queue: max(0, c.wantedBytes+s.expectedBytes-c.inflight-op.Useful), Rate: rate, Quiet: c.netQuiet(now)}
	if op.Kind == costmodel.OpHash {
		o.Units = op.Len
	}
	return o
}

// nextAnyhow is next without back-pressure.
func (s *search) nextAnyhow(now time.Time, depth int) (costmodel.Op, time.Time, bool) {
	if s.active() >= depth {
		return costmodel.Op{}, time.Time{}, false
	}
	return s.best(now)
}

// best is the best operation there is, if one may bring anything.
func (s *search) best(now time.Time) (op costmodel.Op, again time.Time, ok bool) {
	op, ok = s.planner.Next(now)
	ok = ok && !math.IsInf(op.CPC, 1)
	s.waiting = ok
	if !ok {
		again, s.waiting = s.planner.Again()
	}
	if !s.waiting {
		again = time.Time{}
	}
	return op, again, ok
}

// etaClass is the order of magnitude of an expected arrival time. Within a class files are asked for
// in recipe order: a sender reads ahead, and jumping to and fro costs it more than the order gains.
func etaClass(seconds float64) int8 {
	switch {
	case math.IsInf(seconds, 1):
		return math.MaxInt8
	case seconds <= 1e-3:
		return math.MinInt8
	}
	return int8(math.Log2(seconds) / 2)
}

// reorder puts the groups in the order in which the network is asked for them: those that the disk
// will bring last, or never, come first. While the disk is not worth its time, the order is the recipe's.
// Without a source there is nobody to ask.
func (c *Core) reorder(now time.Time) {
	if c.search != nil && c.unasked > 0 && c.nearest() != nil && c.cpu.AllowPlan(now).Allow {
		c.order(now)
	}
}

// order decides anew which groups go first and which are held back.
func (c *Core) order(now time.Time) {
	s := c.search
	c.cpu.Planned(now, 0)
	s.justPlanned = true
	s.order, s.pos = s.order[:0], 0
	c.scan = c.fresh
	if s.refused {
		s.hold = hold{decided: len(s.groups)}
		return
	}
	s.planner.Plan()
	c.setBounds(now)
	class := make([]int8, len(s.groups))
	differs := false
	for i := range s.groups {
		g := &s.groups[i]
		if g.first == g.end {
			continue
		}
		class[i] = math.MaxInt8
		if s.holdIfWorth(g) {
			s.hold.patience = s.patience()
			continue
		}
		if g.known {
			class[i] = etaClass(s.planner.ETA(g.id))
		}
		s.order = append(s.order, uint32(i))
		differs = differs || class[i] != class[s.order[0]]
	}
	if !differs {
		s.order = s.order[:0]
		return
	}
	slices.SortStableFunc(s.order, func(a, b uint32) int { return int(class[b]) - int(class[a]) })
}

// pickOrdered takes chunks that were never asked for, in the order of the groups.
func (c *Core) pickOrdered(now time.Time, limit int64, bytes *int64, take func(*chunk)) {
	s := c.search
	followed := s.followed()
	for s.pos < len(s.order) && *bytes < limit {
		if followed && s.order[s.pos] == s.behind.group {
			s.pos++
			continue
		}
		g := &s.groups[s.order[s.pos]]
		i := c.find(g.first)
		for ; i < len(c.chunks) && c.chunks[i].ordinal < g.end && *bytes < limit; i++ {
			ch := &c.chunks[i]
			g.first = ch.ordinal + 1
			if ch.fresh() && ch.group == s.order[s.pos] && !c.heldBack(now, ch, false) {
				take(ch)
			}
		}
		if i == len(c.chunks) || c.chunks[i].ordinal >= g.end {
			g.first = g.end
			s.pos++
		}
	}
}

package costmodel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

// best is what Next should return: the lowest CPC of all queued operations, each looked at.
func (p *Planner) best() float64 {
	best := math.Inf(1)
	look := func(kind OpKind, n int) {
		for id := range uint32(n) {
			if st, _ := p.slot(kind, id); *st == queued {
				best = min(best, p.cpc(kind, id, viewOpen))
			}
		}
	}
	if !p.awaited() {
		look(OpStat, p.dirs.n)
		look(OpHash, p.files.n)
	}
	look(OpRead, p.runs.n)
	if op, rank, ok := p.checkOp(0); ok {
		if rank == 0 {
			return op.CPC // it goes first, whatever it costs
		}
		best = min(best, op.CPC)
	}
	return best
}

// world plays a planner against random happenings and returns the operations it chose.
func world(t *testing.T, seed uint64, check bool) []Op {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := NewPlanner(Config{Slice: 64 << 10}, NewCosts())
	var groups []GroupID
	var srcs []SourceID
	for i := range 1 + rng.IntN(30) {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d", fmt.Sprint(rng.IntN(4))}, fmt.Sprint("f", i, ".c")), Size: int64(1 + rng.IntN(1<<20))})
		srcs = append(srcs, s)
		set := []SourceID{s}
		if rng.IntN(4) == 0 {
			set = append(set, srcs[rng.IntN(len(srcs))])
		}
		groups = append(groups, p.Group(set...))
		p.Want(groups[i], 1+rng.IntN(60), int64(1+rng.IntN(1<<20)))
	}
	root, _ := p.AddRoot([]string{"d"}, 0)
	p.AddCheck(int64(rng.IntN(100)))
	known := []DirID{root}
	var ops, open []Op
	for now := start; len(ops) < 150; now = now.Add(20 * time.Millisecond) {
		op, ok := p.Next(now)
		if check {
			if want := p.best(); ok != !math.IsInf(want, 1) || ok && op.CPC > want*drift {
				t.Fatalf("seed %d, step %d: got %+v, best is %v", seed, len(ops), op, want)
			}
		}
		if ok && p.Start(op) {
			ops, open = append(ops, op), append(open, op)
		}
		if len(open) == 0 {
			break
		}
		if len(open) > rng.IntN(4) {
			i := rng.IntN(len(open))
			happen(rng, p, open[i], &known, groups)
			open = append(open[:i], open[i+1:]...)
		}
		p.Plan()
		for _, g := range groups {
			if eta := p.ETA(g); math.IsNaN(eta) || eta < 0 {
				t.Fatalf("seed %d: ETA %v", seed, eta)
			}
		}
	}
	return ops
}

// happen ends an operation in some way.
func happen(rng *rand.Rand, p *Planner, op Op, known *[]DirID, groups []GroupID) {
	if rng.IntN(10) == 0 {
		p.Cancel(op)
		return
	}
	res := Result{Seconds: op.Cost * (0.5 + rng.Float64()), Units: op.Len, Failed: rng.IntN(20) == 0}
	switch op.Kind {
	case OpStat:
		for i := range rng.IntN(8) {
			if rng.IntN(4) == 0 {
				d, _ := p.AddDir(DirID(op.ID), fmt.Sprint(i), Device(rng.IntN(3)))
				*known = append(*known, d)
			}
			p.AddFile(DirID(op.ID), fmt.Sprint("f", rng.IntN(40), ".c"), int64(rng.IntN(1<<20)), 0)
			res.Units++
		}
	case OpCheck:
		p.AddRun(0, 1<<20, []Hit{{groups[rng.IntN(len(groups))], 1 + rng.IntN(9)}})
		res.Found = rng.IntN(int(op.Len) + 1)
	default:
		if res.Found = rng.IntN(3); res.Found > 0 {
			p.Arrived(groups[rng.IntN(len(groups))], res.Found, int64(res.Found)<<12)
		}
	}
	p.Done(op, res)
}

// drift is how far the choice may be from the best: an operation that has become cheaper since it was
// queued, because its device's costs or the mean chunk changed, is not looked for.
const drift = 1.25

// The lazy queues give what looking at everything gives, nearly.
func TestNextIsTheBest(t *testing.T) {
	for seed := range uint64(100) {
		world(t, seed, true)
	}
}

func TestEqualCallsGiveEqualAnswers(t *testing.T) {
	for seed := range uint64(10) {
		if a, b := world(t, seed, false), world(t, seed, false); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: runs differ", seed)
		}
	}
}

// wantOne wants one file of so many 16 KiB chunks in /d, and knows /d.
func wantOne(cfg Config, name string, chunks int) (*Planner, GroupID, DirID) {
	cfg.SliceTime = 1e6 // the costs here are those of the paper: a mebibyte takes 64
	p := NewPlanner(cfg, unitCosts())
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, name), Size: int64(chunks) << 14, MTime: 1})
	g := p.Group(s)
	p.Want(g, chunks, int64(chunks)<<14)
	d, _ := p.AddRoot([]string{"d"}, 0)
	op, _ := p.Next(start)
	p.Start(op)
	p.Done(op, Result{Seconds: 1})
	return p, g, d
}

func mustStart(t *testing.T, p *Planner) Op {
	t.Helper()
	op, ok := p.Next(start)
	if !ok || !p.Start(op) {
		t.Fatalf("no operation: %+v", op)
	}
	return op
}

// A large file without a hit makes way for others after a slice, and comes back later.
func TestUselessSlicesMakeWay(t *testing.T) {
	p, _, d := wantOne(Config{Slice: 1 << 20}, "big.iso", 1024)
	liar, _ := p.AddFile(d, "big.iso", 16<<20, 1)
	other, _ := p.AddFile(d, "big-2.iso", 16<<20, 1)
	var order []uint32
	for range 6 {
		op := mustStart(t, p)
		order = append(order, op.ID)
		p.Done(op, Result{Seconds: op.Cost, Units: op.Len})
	}
	if order[0] != uint32(liar) || order[1] != uint32(other) {
		t.Errorf("order %v: want the other file after one useless slice", order)
	}
	for i := 2; i < len(order); i++ {
		if order[i] == order[i-1] && order[i] == order[i-2] {
			t.Errorf("order %v: one file takes all", order)
		}
	}
}

// Found chunks make the rest of the file more likely.
func TestHitsKeepAFileGoing(t *testing.T) {
	p, g, d := wantOne(Config{Slice: 1 << 20}, "a.iso", 1024)
	p.AddFile(d, "a-1.iso", 16<<20, 9e18)
	op := mustStart(t, p)
	p.Arrived(g, 64, 1<<20)
	p.Done(op, Result{Seconds: op.Cost, Units: op.Len, Found: 64})
	if next := mustStart(t, p); next.CPC >= op.CPC || next.Offset != 1<<20 {
		t.Errorf("after a hit %+v, before %+v", next, op)
	}
}

// On a slow device slices are shorter, but not very short; on a fast one they are as configured.
func TestSlicesFollowTheDevice(t *testing.T) {
	for rate, want := range map[float64]int64{1e9: 8 << 20, 20e6: 5e6, 1e6: minSlice} {
		costs := NewCosts()
		costs.Calibrate(0, Cold, Rate{PerOp: 1e-4}, Rate{PerUnit: 1 / rate})
		p := NewPlanner(Config{}, costs)
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, "a"), Size: 64 << 20})
		p.Want(p.Group(s), 4096, 64<<20)
		root, _ := p.AddRoot([]string{"d"}, 0)
		p.Done(mustStart(t, p), Result{Seconds: 1e-4})
		p.AddFile(root, "a", 64<<20, 0)
		op := mustStart(t, p)
		if op.Kind != OpHash || op.Len < want-1 || op.Len > want+1 {
			t.Errorf("%.0f bytes a second: %+v, want a slice of %d", rate, op, want)
		}
		// The next slice begins where this one ended, even if it ended early.
		p.Done(op, Result{Seconds: op.Cost, Units: op.Len - 1000, Found: 1})
		if next := mustStart(t, p); next.Offset != op.Len-1000 {
			t.Errorf("after %+v: %+v", op, next)
		}
	}
}

// Two copies are worth little more than one while the first is being read.
func TestSurvival(t *testing.T) {
	p, _, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a", 1<<20, 1)
	p.AddFile(d, "a", 1<<20, 1)
	other, _ := p.AddFile(d, "other", 1<<20, 1)
	first := mustStart(t, p)
	if second, ok := p.Next(start); ok && second.CPC < 100*first.CPC {
		t.Errorf("a second copy has CPC %v beside %v", second.CPC, first.CPC)
	}
	p.Done(first, Result{Seconds: 64, Units: 1 << 20})
	// What was thought to be certain and failed once is half as likely now.
	if second := mustStart(t, p); second.ID == uint32(other) || second.CPC > 2.01*first.CPC {
		t.Errorf("the copy is not back after the first failed: %+v", second)
	}
}

// Chunks that nothing is left to look for have an infinite time; others a finite one.
func TestETAWithoutSearch(t *testing.T) {
	p, g, d := wantOne(Config{}, "a", 64)
	p.Plan()
	if got := p.ETA(g); !math.IsInf(got, 1) {
		t.Errorf("nothing left: %v", got)
	}
	f, _ := p.AddFile(d, "x", 1<<20, 0)
	p.plan.stale = true
	p.Plan()
	if got := p.ETA(g); math.IsInf(got, 1) || got < 60 {
		t.Errorf("with file %d left: %v", f, got)
	}
}

// What is likely on the disk comes earlier than what is not.
func TestETAOrder(t *testing.T) {
	p, g, d := wantOne(Config{}, "a", 64)
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"elsewhere"}, "zzz"), Size: 5 << 20})
	far := p.Group(s)
	p.Want(far, 320, 5<<20)
	p.AddFile(d, "a", 1<<20, 1)
	p.SetNetwork(1e-6)
	p.Plan()
	if near := p.ETA(g); near >= p.ETA(far) {
		t.Errorf("near %v, far %v", near, p.ETA(far))
	}
}

// Files seen before anything is wanted are compared when it is.
func TestLateSources(t *testing.T) {
	p := NewPlanner(Config{}, unitCosts())
	d, _ := p.AddRoot([]string{"d"}, 0)
	p.AddFile(d, "a", 1<<20, 1)
	if op, ok := p.Next(start); ok {
		t.Fatalf("nothing is wanted, but %+v", op)
	}
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, "a"), Size: 1 << 20, MTime: 1})
	p.Want(p.Group(s), 64, 1<<20)
	op, ok := p.Next(start.Add(sweepPause))
	if !ok || op.CPC > 2.1 {
		t.Fatalf("got %+v, %v", op, ok)
	}
}

func TestArrivedEverywhereEndsTheSearch(t *testing.T) {
	p, g, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a", 1<<20, 1)
	p.AddRun(0, 1<<20, []Hit{{g, 64}})
	p.Arrived(g, 64, 1<<20)
	if op, ok := p.Next(start); ok {
		t.Errorf("nothing is wanted, but %+v", op)
	}
	if n, b := p.Wanted(); n != 0 || b != 0 {
		t.Errorf("wanted %d chunks, %d bytes", n, b)
	}
}

// The set of source files makes the group, not its order.
func TestGroupsAreSets(t *testing.T) {
	p := NewPlanner(Config{}, unitCosts())
	var s [3]SourceID
	for i := range s {
		s[i], _ = p.AddSource(SourceFile{Path: NewPath(nil, fmt.Sprint(i)), Size: 1})
	}
	if p.Group(s[0], s[1]) != p.Group(s[1], s[0]) || p.Group(s[0]) == p.Group(s[0], s[1]) || p.Group(s[1]) == p.Group(s[2]) {
		t.Error("groups are not told apart by their set of files")
	}
}

func TestLimits(t *testing.T) {
	p := NewPlanner(Config{MaxDirs: 4, MaxFiles: 8, MaxSources: 1, MaxRuns: 1}, unitCosts())
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, "a"), Size: 100})
	if _, ok := p.AddSource(SourceFile{}); ok {
		t.Error("two sources")
	}
	g := p.Group(s)
	p.Want(g, 1, 100)
	d, _ := p.AddRoot([]string{"d"}, 0)
	for range 5 {
		p.AddDir(d, "x", 0)
	}
	for i := range 20 {
		p.AddFile(d, fmt.Sprint(i), 100, 0)
	}
	p.AddRun(0, 1, []Hit{{g, 1}})
	p.AddRun(0, 1, []Hit{{g, 1}})
	if p.dirs.n > 4 || p.files.n > 8 || p.runs.n > 1 || p.Dropped() == 0 {
		t.Errorf("%d directories, %d files, %d runs, %d dropped", p.dirs.n, p.files.n, p.runs.n, p.Dropped())
	}
}

// The orders to compare with: directories first, or outwards.
func TestOrders(t *testing.T) {
	for _, tt := range []struct {
		order Order
		want  []OpKind
	}{
		{ByCPC, []OpKind{OpHash, OpStat, OpStat}},
		{AllStats, []OpKind{OpStat, OpStat, OpHash}},
		{BFS, []OpKind{OpHash, OpStat, OpStat}},
	} {
		p, _, d := wantOne(Config{Order: tt.order}, "a", 64)
		p.AddFile(d, "a", 1<<20, 1)
		p.AddDir(d, "x", 0)
		p.AddDir(d, "y", 0)
		for i, want := range tt.want {
			if op := mustStart(t, p); op.Kind != want {
				t.Errorf("order %d, operation %d: %s, want %s", tt.order, i, op.Kind, want)
			}
		}
	}
}

// A file that left its lane and came back as it was, ten times, counts once in a plan.
func TestPlanCountsEachOnce(t *testing.T) {
	p, g, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a", 1<<19, 5)
	p.Plan()
	prob, seconds := p.Chance(g)
	planned := p.Planned()
	for range 10 {
		p.remove(OpHash, 0, idle)
		p.enqueueFile(0)
	}
	p.plan.stale = true
	p.Plan()
	if got, s := p.Chance(g); got != prob || s != seconds || p.Planned() != planned || prob == 0 || prob == 1 {
		t.Errorf("chance %v after %v s of %v, before %v after %v s of %v", got, s, p.Planned(), prob, seconds, planned)
	}
}

// An operation that leaves its lane and comes back with the same key, again and again, does not fill it.
func TestLanesStaySmall(t *testing.T) {
	p, _, d := wantOne(Config{}, "a", 64)
	for i := range 3 {
		p.AddFile(d, fmt.Sprint("a", i), 1<<20, 1)
	}
	l := p.lane(OpHash, p.device(OpHash, 0))
	for range 1000 {
		for id := range uint32(3) {
			p.remove(OpHash, id, idle)
			p.enqueueFile(id)
		}
		if len(l.items) > 2*l.live+64 {
			t.Fatalf("%d items of %d operations", len(l.items), l.live)
		}
	}
	if l.live != 3 {
		t.Errorf("%d operations wait, want 3", l.live)
	}
	for id := range uint32(3) {
		if st := p.files.at(id).state; st != queued {
			t.Errorf("file %d is in state %d, want queued", id, st)
		}
	}
}

// The weight of STATs follows what they lead to, within its bounds.
func TestWeightIsLearned(t *testing.T) {
	p, _, d := wantOne(Config{MinW: 0.25, MaxW: 3}, "a", 64)
	for i := range 40 {
		sub, _ := p.AddDir(d, fmt.Sprint(i), 0)
		op := mustStart(t, p)
		p.AddFile(sub, "junk", 1000, 0)
		p.Done(op, Result{Seconds: 1, Units: 1})
	}
	if p.w != 3 {
		t.Errorf("weight %v after nothing but junk, want 3", p.w)
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	p, now := largePlanner(2000)
	if n := testing.AllocsPerRun(200, func() {
		op, _ := p.Next(now)
		p.Start(op)
		p.Done(op, Result{Seconds: op.Cost, Units: op.Len})
	}); n != 0 {
		t.Errorf("%v allocations for an operation", n)
	}
	p.Plan()
	if n := testing.AllocsPerRun(20, func() {
		now = now.Add(100 * time.Millisecond)
		p.plan.stale = true
		p.Plan()
	}); n != 0 {
		t.Errorf("%v allocations for a plan", n)
	}
}

// TestPlacesLeaveRoom: further places don't take the room of wanted files.
func TestPlacesLeaveRoom(t *testing.T) {
	const most = 8
	p := NewPlanner(Config{MaxSources: most}, NewCosts())
	places := 0
	for i := range most - most/4 {
		id, ok := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, fmt.Sprint("f", i)), Size: 1})
		if !ok {
			t.Fatalf("no room for file %d beside %d places", i, places)
		}
		if p.AddPlace(id, []string{"tree"}) {
			places++
		}
	}
	if places != most/4 {
		t.Errorf("%d places, want %d", places, most/4)
	}
}

// TestPartOfATree: what has a place in a whole tree is looked for in copies of that, too, and found before what is as unlike it as
// a directory with another name.
func TestPartOfATree(t *testing.T) {
	order := func(tree []string) (found int) {
		p := NewPlanner(Config{}, NewCosts())
		root, _ := p.AddRoot([]string{"old"}, 0)
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"new", "here"}, "server.go"), Size: 1 << 17, MTime: 9})
		if tree != nil && !p.AddPlace(s, tree) {
			t.Fatal("no room")
		}
		g := p.Group(s)
		p.Want(g, 8, 1<<17)
		if p.Group(s) != g {
			t.Error("the file has another group now")
		}
		right := DirID(0)
		for _, name := range []string{"crypto", "fmt", "net", "os", "unicode"} {
			d, _ := p.AddDir(root, name, 0)
			if name == "net" {
				right = d
			}
		}
		for ; ; found++ {
			op, ok := p.Next(start)
			if !ok {
				t.Fatal("nothing to do")
			}
			if op.Kind == OpStat && op.ID == uint32(right) {
				return found
			}
			p.Start(op)
			p.Done(op, Result{Seconds: op.Cost, Units: 1})
		}
	}
	if n := order([]string{"net", "http"}); n > 1 {
		t.Errorf("%d operations before the directory that begins like the file's place in its tree", n)
	}
}

package fetch

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// oldTree is a core that wants a tree of directories with a file of one chunk each, and a simulated disk with an older
// version of it.
type oldTree struct {
	c      *Core
	now    time.Time
	dirs   int
	junk   int // more directories, with nothing in them
	size   int64
	hashed int // files
	asked  int // chunks, of the network
	line   []Range
	free   time.Time // of the line
}

func newOldTree(dirs int, size int64) *oldTree {
	o := &oldTree{c: NewCore(CoreConfig{Search: true, SearchDepth: 2}), now: time.Unix(1000, 0), dirs: dirs, size: size}
	o.step(Event{Kind: EvUp, RTT: 40 * time.Millisecond})
	o.step(Event{Kind: EvRoot, Root: []string{"home", "old"}})
	for i := range dirs {
		o.step(Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new", numbered(i, "dir")}, Name: numbered(i, "file"), Size: size, MTime: 2e18}})
		o.step(Event{Kind: EvPlanned, First: uint64(i), Lens: []uint32{uint32(size)}, Group: uint32(i)})
	}
	o.step(Event{Kind: EvPlanDone})
	return o
}

// numbered is a name with a number in letters: digits don't tell names apart.
func numbered(i int, name string) string {
	return fmt.Sprintf("%c%c%c%s", 'a'+i/676%26, 'a'+i/26%26, 'a'+i%26, name)
}

func (o *oldTree) step(ev Event) { o.c.Step(o.now, ev) }

func (o *oldTree) next() []Action {
	actions, _ := o.c.Next(o.now)
	return actions
}

// oldTreeRate is what the network brings in a second.
const oldTreeRate = 2.5e6

// request notes what actions ask of the network, and has a chunk arrive when it is time.
func (o *oldTree) request(actions []Action) {
	for _, a := range actions {
		if a.Kind == ActRequest {
			o.line = append(o.line, a.Ranges...)
		}
	}
	o.asked += count(actions, ActRequest)
	if len(o.line) == 0 || o.now.Before(o.free) {
		return
	}
	first := Range{First: o.line[0].First, Count: 1}
	if o.line[0].First++; o.line[0].Count == 1 {
		o.line = o.line[1:]
	} else {
		o.line[0].Count--
	}
	o.free = o.now.Add(time.Duration(float64(o.size) / oldTreeRate * 1e9))
	o.step(Event{Kind: EvArrived, Ranges: []Range{first}})
}

// answer does on the disk what actions say, in no time, and on the network as fast as that is.
func (o *oldTree) answer(actions []Action) {
	for _, a := range actions {
		switch a.Kind {
		case ActHash:
			o.hashed++
			o.step(Event{Kind: EvFound, Ranges: []Range{{uint64(a.ID), 1}}})
			o.step(Event{Kind: EvHashed, ID: a.ID, Seconds: 1e-4, Units: o.size, Found: 1, Cached: true, Failed: true})
		case ActStat:
			o.step(o.listing(a.ID))
		}
	}
	o.request(actions)
}

// listing is what a directory of the disk shows: the first has all others, each of which has a file of its number.
func (o *oldTree) listing(id uint32) Event {
	ev := Event{Kind: EvStated, ID: id, Units: 1, Seconds: 1e-4, Cached: true}
	if int(id) > o.dirs {
		return ev
	}
	if id > 0 {
		i := int(id) - 1
		ev.FirstFile, ev.Files = uint32(i), []DiskFile{{Name: numbered(i, "file"), Size: o.size, MTime: 1e18}}
		return ev
	}
	ev.FirstDir, ev.Units = 1, int64(o.dirs+o.junk)
	for i := range o.dirs {
		ev.Dirs = append(ev.Dirs, numbered(i, "dir"))
	}
	for i := range o.junk {
		ev.Dirs = append(ev.Dirs, fmt.Sprintf("%s%d", numbered(i, "zork"), i))
	}
	return ev
}

// until goes on until something is so, for some seconds.
func (o *oldTree) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := o.now.Add(10 * time.Second); !is(); o.now = o.now.Add(time.Millisecond) {
		if o.now.After(end) {
			t.Fatalf("not %s after %d files were hashed", what, o.hashed)
		}
		o.answer(o.next())
	}
}

func (o *oldTree) lucky() bool { return o.c.search.planner.Lucky() }

// batches are the files of each batch, in order.
func batches(actions []Action) (sizes []int) {
	for i, a := range actions {
		if a.Kind == ActHash && !a.sameBatch(actions[:i]) {
			sizes = append(sizes, len(batchOf(actions[i:])))
		}
	}
	return sizes
}

// Small files go to the disk together once they are likely to be what they seem, as two operations at a time; a guess
// goes alone.
func TestSmallFilesAreHashedTogether(t *testing.T) {
	const files = 1000
	o := newOldTree(files, 4000)
	alone, most := 0, 0
	for range 10 * files {
		if o.hashed+o.asked >= files {
			break
		}
		actions := o.next()
		for _, n := range batches(actions) {
			if o.hashed == 0 && n > 1 {
				t.Errorf("%d files are hashed before any was found right", n)
			}
			if most = max(most, n); n == 1 {
				alone++
			}
		}
		if n := len(batches(actions)); n > 2 {
			t.Fatalf("%d operations at one time", n)
		}
		o.answer(actions)
		o.now = o.now.Add(time.Millisecond)
	}
	if most < 8 || most > batchFiles {
		t.Errorf("at most %d files were hashed together", most)
	}
	if o.hashed < files/2 || alone > o.hashed/2 {
		t.Errorf("%d files were hashed, %d of them alone", o.hashed, alone)
	}
}

// A batch keeps its place until the last of its files was hashed.
func TestABatchIsOneOperation(t *testing.T) {
	o := newOldTree(2000, 4000)
	o.until(t, "lucky", o.lucky)
	var actions []Action
	o.until(t, "two batches", func() bool {
		actions = o.next()
		sizes := batches(actions)
		if len(sizes) == 2 && sizes[0] > 1 && sizes[1] > 1 {
			return true
		}
		o.answer(actions)
		return false
	})
	hashes := slices.DeleteFunc(actions, func(a Action) bool { return a.Kind != ActHash })
	first := batchOf(hashes)
	o.answer(first[:len(first)-1])
	if n := len(batches(o.next())); n != 0 {
		t.Errorf("%d batches begin while two are under way", n)
	}
	o.answer(first[len(first)-1:])
	if next := o.next(); len(batches(next))+count(next, ActStat) == 0 {
		t.Error("nothing begins when a batch has ended")
	}
}

// What no listing has shown yet is left to a search that has found nearly everything so far.
func TestWhatIsNotListedIsTrusted(t *testing.T) {
	o := newOldTree(1000, 30_000)
	o.until(t, "lucky", o.lucky)
	before := o.asked
	o.until(t, "complete", func() bool { return o.hashed+o.asked >= 1000 })
	if before > 500 || o.asked > before+100 {
		t.Errorf("%d chunks were asked for, %d of them before there was luck", o.asked, before)
	}
}

// Files of which nothing was seen are left to the disk only while its directories go on to show wanted ones: the
// network does not wait for a look at all the others.
func TestBarrenDirectoriesEndTrust(t *testing.T) {
	o := newOldTree(300, 200_000)
	o.junk = 5_000
	for i := range uint64(300) {
		name := numbered(int(i)*7+3, "qqzz") + ".bin"
		o.step(Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new", "elsewhere"}, Name: name, Size: o.size + int64(i), MTime: 2e18}})
		o.step(Event{Kind: EvPlanned, First: 300 + i, Lens: []uint32{uint32(o.size)}, Group: 300 + uint32(i)})
	}
	idle := 0
	for i := 0; i < 60_000 && !o.c.Done(); i++ {
		if o.answer(o.next()); len(o.line) == 0 {
			idle++
		}
		o.now = o.now.Add(time.Millisecond)
	}
	if !o.c.Done() || idle > 300 {
		t.Errorf("done: %v; the network was idle for %d ms", o.c.Done(), idle)
	}
}

// A disk that gives nothing for a while is trusted no longer.
func TestTrustEndsWithProgress(t *testing.T) {
	o := newOldTree(1000, 30_000)
	o.until(t, "lucky", o.lucky)
	o.until(t, "half of it", func() bool { return o.hashed > 200 })
	before := o.asked
	for begin := o.now; o.now.Sub(begin) < trustPause-30*time.Millisecond; o.now = o.now.Add(10 * time.Millisecond) {
		o.request(o.next())
	}
	if o.asked > before+32 {
		t.Errorf("%d chunks were asked for while the disk is trusted", o.asked-before)
	}
	before = o.asked
	for begin := o.now; o.asked == before; o.now = o.now.Add(10 * time.Millisecond) {
		if o.now.Sub(begin) > time.Second {
			t.Fatal("nothing is asked for though the disk gives nothing")
		}
		o.request(o.next())
	}
}

// Chunks whose own file's older version waits to be hashed are not compared with what another file has beside some of
// their neighbours.
func TestNearWaitsForTheLikeliestFile(t *testing.T) {
	o := newOldTree(3, 30_000)
	o.step(Event{Kind: EvDown}) // nothing is asked for meanwhile
	hashing := map[uint64]bool{}
	list := Event{Kind: EvStated, Units: 3, Seconds: 1e-4}
	for i := range 3 {
		list.Files = append(list.Files, DiskFile{Name: numbered(i, "file"), Size: o.size, MTime: 1e18})
	}
	o.next()
	o.step(list)
	for _, a := range o.next() {
		hashing[uint64(a.ID)] = a.Kind == ActHash
	}
	if len(hashing) != 2 {
		t.Fatalf("%d files are being hashed, want 2", len(hashing))
	}
	for ord := range uint64(3) {
		o.step(Event{Kind: EvNear, Ranges: []Range{{ord, 1}}, Units: o.size})
		if near := o.c.at(ord).zoom == zoomNear; near != hashing[ord] {
			t.Errorf("chunk %d, whose file's version is being hashed: %v; compared: %v", ord, hashing[ord], near)
		}
	}
}

// openingPath makes the path of an old tree's source one that has been measured and still gets faster.
func (o *oldTree) openingPath(t *testing.T) {
	t.Helper()
	path := &o.c.sources[0].path
	path.Asked(o.now, 32<<10)
	o.now = o.now.Add(50 * time.Millisecond)
	path.Arrived(o.now, 32<<10)
	path.Answered(32 << 10)
	if !path.Opening() {
		t.Fatal("the path has opened")
	}
}

// newLuckyTree is an old tree that the search is in luck with, beside a path that still gets faster.
func newLuckyTree(t *testing.T) *oldTree {
	t.Helper()
	o := newOldTree(2000, 4000)
	o.until(t, "in luck", o.lucky)
	o.openingPath(t)
	o.c.order(o.now)
	return o
}

// While a path gets faster with each round trip, the disk is left what it will bring before that can, and no more.
func TestOpeningPathIsNotFedWhatTheDiskBringsSooner(t *testing.T) {
	o := newLuckyTree(t)
	s := o.c.search
	if s.hold.longest != 0 || !(s.hold.ahead > 0.1) || s.hold.ahead > 1 {
		t.Fatalf("%.3f s for the disk, on a path of 40 ms", s.hold.ahead)
	}
	held, left := 0, 0
	for i := range s.groups {
		if g := &s.groups[i]; g.first < g.end && o.c.at(uint64(i)).fresh() {
			left++
			if g.held {
				held++
			}
		}
	}
	if held == 0 {
		t.Errorf("none of %d files is left to the disk", left)
	}
}

// A network that doubles what it brings in each round trip needs as many as it takes to double that to all.
func TestLeastTimeOfAnOpeningPath(t *testing.T) {
	if got := leastAlone(1023e3, 1e4, 100*time.Millisecond); math.Abs(got-1) > 0.01 {
		t.Errorf("%.3f s for ten round trips", got)
	}
}

// What has been planned since the last decision gives the disk as much more time.
func TestYoungFilesCountInTheDisksTime(t *testing.T) {
	o := newOldTree(200, 4000)
	o.until(t, "in luck", o.lucky)
	o.c.order(o.now)
	s := o.c.search
	before := s.hold.ahead
	s.hold.patience, s.gain = time.Second, o.now
	for i := range 200 {
		o.step(Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new", numbered(i, "dir")}, Name: "more", Size: o.size, MTime: 2e18}})
		o.step(Event{Kind: EvPlanned, First: uint64(200 + i), Lens: []uint32{uint32(o.size)}, Group: uint32(200 + i)})
	}
	o.c.decideYoung(o.now)
	if !(before > 0) || s.hold.ahead < 1.2*before {
		t.Errorf("%.3f s, and %.3f s when twice as many files are wanted", before, s.hold.ahead)
	}
}

// What is planned between two decisions is judged by the path as it is now: one that has ceased to get faster gives the disk
// as long as the network needs.
func TestYoungFilesAreJudgedByThePathAsItIs(t *testing.T) {
	o := newLuckyTree(t)
	s := o.c.search
	opening := s.hold.ahead
	path := &o.c.sources[0].path
	path.Asked(o.now, 32<<10)
	o.now = o.now.Add(60 * time.Millisecond)
	path.Arrived(o.now, 32<<10) // no more than before
	path.Answered(32 << 10)
	s.hold.patience, s.gain = time.Second, o.now
	o.c.inflight = 1
	s.crowd.quiet.add(1, 0.9)
	s.crowd.busy.add(1, 0.3) // the network has two thirds of the disk's processor
	o.c.decideYoung(o.now)
	if s.hold.alone > 0.5 {
		t.Errorf("without the network the disk takes %.2f of the time", s.hold.alone)
	}
	if s.hold.longest == 0 || s.hold.ahead < 2*opening {
		t.Errorf("%.3f s for the disk once the path has opened, %.3f s before; longest %.3f", s.hold.ahead, opening, s.hold.longest)
	}
}

// Of a tree that the disk is trusted to bring, the network is asked for less at a time while its path gets faster.
func TestLittleIsAskedForBesideATrustedSearch(t *testing.T) {
	o := newLuckyTree(t)
	path := &o.c.sources[0].path
	bold := path.Limit()
	o.c.search.hold.patience, o.c.search.gain = time.Second, o.now
	o.next()
	if got := path.Limit(); got >= bold {
		t.Errorf("%d bytes may be outstanding while the search is trusted", got)
	}
	o.now = o.now.Add(2 * time.Second) // the disk brings nothing
	o.next()
	if got := path.Limit(); got != bold {
		t.Errorf("%d bytes may be outstanding after it, %d before", got, bold)
	}
}

// Beside a path that has opened, care takes that most of what is left is the disk's.
func TestCareTakesThatMostIsHeld(t *testing.T) {
	o := newOldTree(2000, 4000)
	o.until(t, "in luck", o.lucky)
	s, path := o.c.search, &o.c.sources[0].path
	path.Asked(o.now, 1<<20)
	for _, n := range []int64{256 << 10, 256 << 10, 256 << 10, 64 << 10} {
		o.now = o.now.Add(50 * time.Millisecond)
		path.Arrived(o.now, n)
		path.Starved()
	}
	s.hold.patience, s.gain = time.Second, o.now
	if path.Opening() {
		t.Fatal("the path still opens")
	}
	for share, careful := range map[float64]bool{0.1: false, 0.9: true} {
		s.hold.chunks = int(share * float64(o.c.unasked))
		if o.c.beCareful(o.now); (path.Limit() < path.Want()) != careful {
			t.Errorf("careful %v with %.0f %% left to the disk", !careful, 100*share)
		}
	}
	o.c.unasked = 0
	if o.c.beCareful(o.now); path.Limit() < path.Want() {
		t.Error("careful with nothing left to ask for")
	}
}

// What is held back is counted as it is decided.
func TestHeldChunksAreCounted(t *testing.T) {
	o := newOldTree(500, 4000)
	o.until(t, "in luck", o.lucky)
	o.c.order(o.now)
	s, held := o.c.search, 0
	for i := range s.groups {
		if !s.groups[i].held {
			continue
		}
		if ch := o.c.at(uint64(i)); ch != nil && ch.state == chunkWanted && !ch.asked {
			held++
		}
	}
	if held == 0 || s.hold.chunks != held {
		t.Errorf("%d chunks are held, %d counted", held, s.hold.chunks)
	}
}

// A group counts with what no source was ever asked for: not with what was, or was found.
func TestGroupCountsWhatWasNeverAsked(t *testing.T) {
	o := newOldTree(1, 4000)
	o.step(Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new"}, Name: "large", Size: 40_000, MTime: 2e18}})
	o.step(Event{Kind: EvPlanned, First: 10, Lens: lensOf(10, 4000), Group: 1})
	g := &o.c.search.groups[1]
	if g.unasked != 10 {
		t.Fatalf("%d of 10 chunks were never asked for", g.unasked)
	}
	o.step(Event{Kind: EvFound, Ranges: []Range{{10, 6}}})
	if g.unasked != 4 {
		t.Errorf("%d after 6 were found", g.unasked)
	}
	for range 200 {
		o.now = o.now.Add(10 * time.Millisecond)
		o.request(o.next())
	}
	if g.unasked != 0 || o.c.unasked != 0 {
		t.Errorf("%d, and %d in all, after all were asked for", g.unasked, o.c.unasked)
	}
}

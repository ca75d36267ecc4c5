package fetch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dfetch/costmodel"
	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/tree"
)

// SearchConfig says where on this machine chunks are looked for. The zero value is the destination and
// what lies beside it, in so far as every user of the machine may read it.
type SearchConfig struct {
	Off   bool
	Roots []string // directories to search as well, as they are
	// Trusted: the recipe's author may learn what this machine holds.
	Trusted bool
	// Index is the directory of the chunk index; it is used if there is one. Empty: none.
	Index    string
	IndexMax int64 // as in diskscan.IndexConfig
	// NoPressure and Order are there to compare with: search whatever it costs, and in another order.
	NoPressure bool
	Order      costmodel.Order
}

// searcher carries the core's disk operations out. It numbers the directories and files that it has
// heard of; the core names them by these numbers.
type searcher struct {
	ctx    context.Context
	disk   *diskscan.Disk
	scope  *diskscan.Scope
	index  *openedIndex // nil without one
	loop   *loop
	held   *held
	zoom   *zoomer
	place  []string // in which the entries' paths begin
	shared int      // how many names of it all places of the search have in common
	note   func(format string, args ...any)
	log    func(format string, args ...any)
	wg     sync.WaitGroup
	claims claims
	// unsynced: the transfer does not wait for what it writes. Then reading anew what is cached takes longer than writing it.
	unsynced bool

	mu      sync.Mutex
	dirs    []diskscan.Dir
	files   []diskscan.File
	begun   map[uint32]progress // of the files that have been hashed in part
	devices []uint64
	silent  []uint8          // devices that did not answer
	runs    [][]diskscan.Run // that are read together; nil: they have been
	checked int              // slots of the window that the index was asked about
}

// progress is how far a file has been hashed.
type progress struct {
	next diskscan.HashState
	spot spot // the last chunk that was found in it
	// early: a part of it was hashed before everything was planned, so that it may be wanted again.
	early bool
}

// startSearch opens what may be searched. The search lives until stop, the index until its user closes it. place is the path in which the entries' paths
// begin.
func (t *transfer) startSearch(ctx context.Context, dest string, place []string) (*searcher, error) {
	cfg := t.cfg.Search
	index, roots := t.openIndex(ctx)
	scope := diskscan.OpenScope(ctx, diskscan.ScopeConfig{
		Dest: dest, File: t.root.Top.Type != recipe.TypeDir, Siblings: true, Roots: cfg.Roots, Trusted: cfg.Trusted,
		IndexRoots: roots, Held: &t.held,
	})
	for _, r := range scope.Refused() {
		say := t.cfg.detail
		if slices.Contains(cfg.Roots, r.Path) {
			say = t.cfg.log // the user named it
		}
		say("not searched: %s: %v", r.Path, r.Err)
	}
	disk, err := diskscan.New(diskscan.Config{
		Scope: scope, Index: index, Profile: t.root.Profile, Hash: t.root.Hash, Remember: maxRemembered, Follows: t.win.follows,
	})
	if err != nil {
		scope.Close()
		return nil, err
	}
	s := &searcher{begun: map[uint32]progress{}, ctx: ctx, disk: disk, scope: scope, index: t.index, loop: t.loop, held: &t.held, note: t.cfg.detail, log: t.cfg.log, place: place}
	s.unsynced = t.cfg.Fsync == tree.FsyncNone
	s.zoom = newZoomer(s, t.root.Hash)
	starts := scope.Starts()
	paths := [][]string{place}
	for _, dir := range starts {
		paths = append(paths, components(scope.Path(dir)))
	}
	s.shared = sharedNames(paths)
	for i, dir := range starts {
		s.dirs = append(s.dirs, dir)
		t.loop.mail.post(Event{Kind: EvRoot, ID: uint32(i), Root: paths[i+1][s.shared:], Device: s.device(dir)})
	}
	s.wg.Go(s.zoom.run)
	return s, nil
}

// local is the place by the names that tell it from others. A long way down to all places would make them look alike,
// so the cost model sees none of it.
func (s *searcher) local() []string { return s.place[s.shared:] }

// sharedNames is how many names all paths, of which there is one at least, begin with.
func sharedNames(paths [][]string) int {
	for n := 0; ; n++ {
		for _, p := range paths {
			if n == len(p) || p[n] != paths[0][n] {
				return n
			}
		}
	}
}

// components are the names of an absolute path.
func components(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == '/' })
}

// device gives the cost model's small number of the device that a directory lies on.
func (s *searcher) device(d diskscan.Dir) uint8 {
	dev := s.scope.Device(d)
	for i, known := range s.devices {
		if known == dev {
			return uint8(i)
		}
	}
	s.devices = append(s.devices, dev)
	return uint8(min(len(s.devices)-1, 255))
}

// stop waits until no operation is under way, but not for a disk that does not answer; the context that startSearch got must have ended.
func (s *searcher) stop() diskscan.Stats {
	err := s.disk.Close()
	s.wg.Wait()
	if err == nil {
		s.scope.Close()
	} else {
		s.note("%v", err) // they may use the scope as long as the program lives
	}
	stats := s.disk.Stats()
	s.index.release()
	return stats
}

// hasIndex says whether there is an index to ask.
func (c *SearchConfig) hasIndex() bool {
	if c.Off || c.Index == "" {
		return false
	}
	_, err := os.Stat(c.Index)
	return err == nil
}

// closeIndex waits until the index is closed.
func (t *transfer) closeIndex() {
	if err := t.index.close(); err != nil {
		t.tellIndex(err)
	}
}

// tellIndex says what went wrong with the index.
func (t *transfer) tellIndex(err error) {
	if errors.Is(err, errIndexSilent) {
		t.cfg.log("%v", err) // a person has waited for it
		return
	}
	t.cfg.detail("%v", err)
}

// openIndex waits for the index, if there is one, and says which directories it may lead to.
func (t *transfer) openIndex(ctx context.Context) (*diskscan.Index, []string) {
	x, err := t.index.get(ctx)
	if err != nil {
		t.tellIndex(err)
	}
	if x == nil {
		return nil, nil
	}
	if err := x.Note(); err != nil {
		t.tellIndex(err)
	}
	roots, err := x.Roots(ctx)
	if err != nil {
		t.cfg.detail("index: %v", err)
	}
	return x, roots
}

// stat lists a directory, in as many parts as it takes.
func (s *searcher) stat(id uint32) {
	s.mu.Lock()
	dir := s.dirs[id]
	s.mu.Unlock()
	s.wg.Go(func() {
		var seconds float64
		var units int64
		for from := int64(0); ; {
			res, err := s.disk.Stat(s.ctx, dir, from)
			seconds += res.Cost.Seconds()
			units += int64(res.Entries)
			from = res.Next
			ev := s.listed(id, res)
			ev.Seconds, ev.Units = seconds, units
			ev.Failed, ev.More, ev.Stalled = err != nil, err == nil && from != 0, s.unheard(dir, err)
			s.loop.mail.post(ev)
			if !ev.More {
				return
			}
		}
	})
}

// unheard says whether an operation in a directory ended because its disk does not answer, and tells a person so once of each disk.
func (s *searcher) unheard(dir diskscan.Dir, err error) bool {
	if !errors.Is(err, diskscan.ErrStalled) {
		return false
	}
	s.mu.Lock()
	device := s.device(dir)
	said := slices.Contains(s.silent, device)
	if !said {
		s.silent = append(s.silent, device)
	}
	s.mu.Unlock()
	if !said {
		s.log("search: %s does not answer; going on without its disk", s.scope.Path(dir))
	}
	return true
}

// listed numbers what a listing showed.
func (s *searcher) listed(id uint32, res diskscan.StatResult) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := Event{Kind: EvStated, ID: id, FirstFile: uint32(len(s.files)), FirstDir: uint32(len(s.dirs))}
	if len(res.Files) > 0 {
		ev.Files = make([]DiskFile, 0, len(res.Files))
		s.files = roomFor(s.files, len(res.Files))
	}
	for _, f := range res.Files {
		s.files = append(s.files, res.File(f))
		ev.Files = append(ev.Files, DiskFile{Name: f.Name, Size: f.Size, MTime: f.MTime})
	}
	for _, d := range res.Dirs {
		s.dirs = append(s.dirs, d)
		ev.Dirs = append(ev.Dirs, d.Path[strings.LastIndexByte(d.Path, '/')+1:])
	}
	return ev
}

// roomFor is a slice with room for n more. It doubles: what a search has seen gets long, and append would copy it many times,
// into memory that is new each time.
func roomFor[T any](s []T, n int) []T {
	if len(s)+n <= cap(s) {
		return s
	}
	return slices.Grow(s, max(n, cap(s)))
}

// check looks the next n planned chunks up in the index.
func (s *searcher) check(n int) {
	s.mu.Lock()
	ids, next := s.loop.win.openIDs(s.checked, n)
	s.checked = next
	s.mu.Unlock()
	s.wg.Go(func() {
		sweep, err := s.disk.Check(s.ctx, ids)
		ev := s.numberRuns(EvChecked, sweep.Runs)
		ev.Seconds, ev.Units, ev.Found, ev.Failed = sweep.Cost.Seconds(), int64(len(ids)), sweep.Hits, err != nil
		ev.Stalled = errors.Is(err, diskscan.ErrStalled)
		for _, dir := range sweep.Silent {
			s.unheard(dir, diskscan.ErrStalled)
		}
		s.loop.mail.post(ev)
	})
}

package fetch

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dfetch/backpressure"
	"dfetch/costmodel"
	"dfetch/diskscan"
	"dfetch/recipe"
)

// SearchConfig says where on this machine chunks are looked for. The zero value is the destination and
// what lies beside it, in so far as every user of the machine may read it.
type SearchConfig struct {
	Off   bool
	Roots []string // directories to search as well, as they are
	// Trusted: the recipe's author may learn what this machine holds.
	Trusted bool
	// NoPressure and Order are there to compare with: search whatever it costs, and in another order.
	NoPressure bool
	Order      costmodel.Order
}

// searcher carries the core's disk operations out. It numbers the directories and files that it has
// heard of; the core names them by these numbers.
type searcher struct {
	ctx   context.Context
	disk  *diskscan.Disk
	scope *diskscan.Scope
	loop  *loop
	note  func(format string, args ...any)
	wg    sync.WaitGroup

	mu      sync.Mutex
	dirs    []diskscan.Dir
	files   []diskFile
	devices []uint64
}

// diskFile is a file of the disk and how far it has been hashed.
type diskFile struct {
	file diskscan.File
	next diskscan.HashState
}

// startSearch opens what may be searched. The search lives until stop.
func (t *transfer) startSearch(ctx context.Context, dest string) (*searcher, error) {
	cfg := t.cfg.Search
	scope := diskscan.OpenScope(ctx, diskscan.ScopeConfig{
		Dest: dest, File: t.root.Top.Type != recipe.TypeDir, Siblings: true, Roots: cfg.Roots, Trusted: cfg.Trusted,
	})
	for _, r := range scope.Refused() {
		t.cfg.detail("not searched: %s: %v", r.Path, r.Err)
	}
	disk, err := diskscan.New(diskscan.Config{Scope: scope, Profile: t.root.Profile, Hash: t.root.Hash})
	if err != nil {
		scope.Close()
		return nil, err
	}
	s := &searcher{ctx: ctx, disk: disk, scope: scope, loop: t.loop, note: t.cfg.detail}
	for _, dir := range scope.Starts() {
		s.dirs = append(s.dirs, dir)
		t.loop.mail.post(Event{Kind: EvRoot, ID: uint32(len(s.dirs) - 1), Root: components(scope.Path(dir)), Device: s.device(dir)})
	}
	s.wg.Go(s.sample)
	return s, nil
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

// stop waits until no operation is under way; the context that startSearch got must have ended.
func (s *searcher) stop() diskscan.Stats {
	s.disk.Close()
	s.wg.Wait()
	s.scope.Close()
	return s.disk.Stats()
}

// sampleEvery is how often the kernel is asked about the disk and the processor.
const sampleEvery = 100 * time.Millisecond

func (s *searcher) sample() {
	disks, cpus := backpressure.NewDiskSampler(), backpressure.NewCPUSampler()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		disk, cpu := disks.Sample(now), cpus.Sample(now)
		s.loop.mail.post(Event{Kind: EvMachine, Disk: &disk, CPU: &cpu})
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
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
			ev.Failed, ev.More = err != nil, err == nil && from != 0
			s.loop.mail.post(ev)
			if !ev.More {
				return
			}
		}
	})
}

// listed numbers what a listing showed.
func (s *searcher) listed(id uint32, res diskscan.StatResult) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := Event{Kind: EvStated, ID: id, FirstFile: uint32(len(s.files)), FirstDir: uint32(len(s.dirs))}
	for _, f := range res.Files {
		s.files = append(s.files, diskFile{file: res.File(f)})
		ev.Files = append(ev.Files, DiskFile{Name: f.Name, Size: f.Size, MTime: f.MTime})
	}
	for _, d := range res.Dirs {
		s.dirs = append(s.dirs, d)
		ev.Dirs = append(ev.Dirs, d.Path[strings.LastIndexByte(d.Path, '/')+1:])
	}
	return ev
}

// hash reads the next slice of a file.
func (s *searcher) hash(id uint32) {
	s.mu.Lock()
	f := s.files[id]
	s.mu.Unlock()
	s.wg.Go(func() {
		res, err := s.disk.Hash(s.ctx, f.file, f.next, s.loop.win.wantsID, s.take)
		s.mu.Lock()
		s.files[id].next = res.Next
		s.mu.Unlock()
		s.loop.mail.post(Event{
			Kind: EvHashed, ID: id, Seconds: res.Cost.Seconds(), Units: res.Bytes, Found: res.Found,
			Cached: res.Cold*2 < res.Bytes, Failed: err != nil || res.Changed || res.Done,
		})
	})
}

// take writes chunks that were found to their places and tells the loop.
func (s *searcher) take(f *diskscan.Found) {
	defer f.Release()
	var got []Range
	data := f.Data
	for _, ch := range f.Chunks {
		if c, ok := s.loop.win.claimID(ch.ID, uint32(ch.Len)); ok {
			s.loop.deliver("disk", []claimed{c}, data[:ch.Len])
			got = appendOrdinal(got, c.want.Ordinal)
		}
		data = data[ch.Len:]
	}
	if got != nil {
		s.loop.mail.post(Event{Kind: EvFound, Ranges: got})
	}
}

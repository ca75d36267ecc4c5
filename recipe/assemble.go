package recipe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// assembler makes directories of complete entries, in the order of the scan.
type assembler struct {
	b      *build
	open   []openDir
	top    *Entry
	counts Counts
	lost   map[string]bool // files that hardlinks may name, but could not be read
}

// openDir is a directory whose entries are coming in.
type openDir struct {
	entry Entry
	nodes *DirBuilder
}

func (a *assembler) run(ctx context.Context, order <-chan *batch) error {
	for bt := range order {
		select {
		case <-bt.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		for i := range bt.steps {
			if err := a.step(&bt.steps[i]); err != nil {
				return err
			}
		}
		a.b.tally.report()
	}
	return ctx.Err()
}

func (a *assembler) step(s *step) error {
	switch {
	case s.err == nil && s.kind == stepLeave:
		return a.leave()
	case s.err == nil && s.kind == stepEnter:
		a.open = append(a.open, openDir{s.entry, NewDirBuilder(a.b.cfg.Mask, a.b.store.put)})
		return nil
	case s.err == nil:
		s.err = a.check(s)
	}
	if s.err != nil {
		return a.fail(s)
	}
	return a.add(&s.entry, s.data)
}

// check finds what would make the directory's node wrong.
func (a *assembler) check(s *step) error {
	if s.entry.Type == TypeHardlink && a.lost[s.entry.Target] {
		return s.fail("link", fmt.Errorf("its other name %q could not be read", s.entry.Target))
	}
	return s.fail("describe", checkEntry(&s.entry, a.b.cfg.Mask, len(a.open) == 0))
}

// fail leaves an entry out, or ends the build.
func (a *assembler) fail(s *step) error {
	if len(a.open) == 0 || !a.b.cfg.KeepGoing || errors.Is(s.err, errStore) {
		return s.err
	}
	if s.links {
		a.lost[s.below()] = true
	}
	a.b.stats.Failed++
	if len(a.b.stats.Errors) < maxErrors {
		a.b.stats.Errors = append(a.b.stats.Errors, s.err)
	}
	return nil
}

func (a *assembler) leave() error {
	last := len(a.open) - 1
	d := a.open[last]
	a.open = a.open[:last]
	ref, err := d.nodes.Finish()
	if err != nil {
		return err
	}
	d.entry.Dir = ref
	return a.add(&d.entry, 0)
}

// add puts an entry into the directory that is open, or makes it the top.
func (a *assembler) add(e *Entry, data int64) error {
	a.counts.DataBytes += uint64(data)
	switch e.Type {
	case TypeFile:
		a.counts.Files++
		a.b.tally.files.Add(1)
	case TypeDir:
		a.counts.Dirs++
	}
	if len(a.open) == 0 {
		a.top = e
		return nil
	}
	return a.open[len(a.open)-1].nodes.Add(e)
}

// root is the whole tree's.
func (a *assembler) root() (*Root, error) {
	s := a.top.sums()
	a.counts.Entries, a.counts.Bytes, a.counts.Chunks = s.entries, s.bytes, s.chunks
	cfg := &a.b.cfg
	return &Root{Version: Version, Hash: cfg.Hash, Profile: cfg.Profile, Mask: cfg.Mask, Counts: a.counts, Top: *a.top}, nil
}

// tally counts while a build runs.
type tally struct {
	files, bytes               atomic.Uint64
	scannedFiles, scannedBytes atomic.Uint64
	readBytes                  atomic.Uint64
	reusedFiles, reusedBytes   atomic.Uint64
	sockets, special           atomic.Uint64
	ended                      atomic.Bool

	mu   sync.Mutex
	fn   func(Progress)
	last atomic.Uint64 // bytes at the last report
}

// reportBytes is how much of a large file lies between two reports.
const reportBytes = 16 << 20

func (t *tally) read(n int64) {
	t.readBytes.Add(uint64(n))
	if now := t.bytes.Add(uint64(n)); now-t.last.Load() >= reportBytes {
		t.report()
	}
}

func (t *tally) reuse(n int64) {
	t.bytes.Add(uint64(n))
	t.reusedFiles.Add(1)
	t.reusedBytes.Add(uint64(n))
}

func (t *tally) scanned(n int64) {
	t.scannedFiles.Add(1)
	t.scannedBytes.Add(uint64(n))
}

func (t *tally) skip(mode uint32) {
	if mode&unix.S_IFMT == unix.S_IFSOCK {
		t.sockets.Add(1)
	} else {
		t.special.Add(1)
	}
}

// report tells how far the build is, unless another goroutine does so at this moment.
func (t *tally) report() {
	if t.fn == nil || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	p := Progress{Files: t.files.Load(), Bytes: t.bytes.Load(), Scanned: t.ended.Load()}
	p.ScannedFiles, p.ScannedBytes = t.scannedFiles.Load(), t.scannedBytes.Load()
	t.last.Store(p.Bytes)
	t.fn(p)
}

func (t *tally) sum(s *BuildStats) {
	s.ReadBytes = t.readBytes.Load()
	s.ReusedFiles, s.ReusedBytes = t.reusedFiles.Load(), t.reusedBytes.Load()
	s.SkippedSockets, s.SkippedSpecial = t.sockets.Load(), t.special.Load()
}

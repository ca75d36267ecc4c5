package tree

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of what waits to be synced. Writers wait at twice the bound.
const (
	batchFiles   = 4096
	barrierBytes = 256 << 20
	barrierEvery = 5 * time.Second
	recordEvery  = time.Second // how long verified bytes may lack their record in the journal
)

// syncer makes written data durable and then commits the files that are complete, in rounds:
//
//  1. what is verified gets its records in the journal,
//  2. the data is synced, file by file or, if they are many, with its file system,
//  3. a barrier is appended to the journal and synced,
//  4. the complete files of the round are renamed.
//
// A round runs when enough has gathered, each 5 s while anything has, and on demand. Without fsync
// there are no rounds to wait for: files are renamed at once, and only the journal is kept.
type syncer struct {
	t     *Tree
	one   sync.Mutex // held by the round that runs
	kick  chan struct{}
	quit  chan struct{}
	ended chan struct{}

	mu         sync.Mutex
	room       sync.Cond
	ready      []*File // complete, not renamed
	dirty      map[*File]struct{}
	dirtyBytes int64
	last       time.Time // when the last round began
}

func startSyncer(t *Tree) *syncer {
	s := &syncer{
		t: t, dirty: make(map[*File]struct{}), last: t.cfg.Now(),
		kick: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	s.room.L = &s.mu
	go s.run()
	return s
}

func (s *syncer) run() {
	defer close(s.ended)
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.kick:
			s.keepError(s.t.blame(s.round()))
		case <-tick.C:
			s.keepError(s.t.blame(s.tick()))
		}
	}
}

// keepError ends the run on an error of a round, and wakes who waits.
func (s *syncer) keepError(err error) {
	if err != nil {
		_ = s.t.fail(err) // the next call of the writer gives it back
	}
	s.mu.Lock()
	s.room.Broadcast()
	s.mu.Unlock()
}

// tick does what is due by time.
func (s *syncer) tick() error {
	s.mu.Lock()
	idle := len(s.ready) == 0 && len(s.dirty) == 0
	due := s.t.cfg.Fsync != FsyncNone && s.t.cfg.Now().Sub(s.last) >= barrierEvery
	s.mu.Unlock()
	switch {
	case idle:
		return nil
	case due:
		return s.round()
	}
	return s.record()
}

// record writes what is verified to the journal, without syncing.
func (s *syncer) record() error {
	s.mu.Lock()
	files := make(map[*File]struct{}, len(s.dirty))
	for f := range s.dirty {
		files[f] = struct{}{}
	}
	if s.t.cfg.Fsync == FsyncNone {
		clear(s.dirty)
	}
	s.mu.Unlock()
	_, err := s.t.journal.flush(files)
	return err
}

// admit waits while too much is waiting for the disk.
func (s *syncer) admit() error {
	if err := s.t.broken(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) >= 2*batchFiles || s.dirtyBytes >= 2*barrierBytes {
		s.wake()
		s.room.Wait()
		if err := s.t.broken(); err != nil {
			return err
		}
	}
	return nil
}

func (s *syncer) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// wrote notes that a file has data which is not durable.
func (s *syncer) wrote(f *File, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[f] = struct{}{}
	if s.t.cfg.Fsync == FsyncNone {
		if len(s.dirty) >= batchFiles {
			clear(s.dirty) // their bytes are hashed again if this run is killed
		}
		return
	}
	s.dirtyBytes += n
	if s.dirtyBytes >= barrierBytes || len(s.dirty) >= batchFiles {
		s.wake()
	}
}

// queue takes a complete file for the next round.
func (s *syncer) queue(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, f)
	if len(s.ready) >= batchFiles {
		s.wake()
	}
}

// take empties the queues for a round.
func (s *syncer) take() (ready []*File, dirty map[*File]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready, dirty = s.ready, s.dirty
	s.ready, s.dirty, s.dirtyBytes, s.last = nil, make(map[*File]struct{}), 0, s.t.cfg.Now()
	s.room.Broadcast()
	return ready, dirty
}

func (s *syncer) round() error {
	s.one.Lock()
	defer s.one.Unlock()
	if err := s.t.fatalError(); err != nil {
		return err
	}
	ready, dirty := s.take()
	for _, f := range ready {
		dirty[f] = struct{}{}
	}
	if s.t.cfg.Fsync != FsyncNone && (len(dirty) > 0 || s.t.journal.hasUnsynced()) {
		if err := s.barrier(dirty); err != nil {
			s.putBack(ready)
			return err
		}
	}
	if s.t.cfg.Fsync == FsyncNone {
		if _, err := s.t.journal.flush(dirty); err != nil {
			return wrap("write journal of", s.t.cfg.Dest, err)
		}
	}
	for _, f := range ready {
		if err := f.settleComplete(f.commit()); err != nil {
			return err
		}
	}
	return nil
}

// putBack leaves files that could not be synced to the records of the next run.
func (s *syncer) putBack(ready []*File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(ready, s.ready...)
}

func (s *syncer) barrier(dirty map[*File]struct{}) error {
	j := s.t.journal
	if err := j.shorten(); err != nil {
		return wrap("write journal of", s.t.cfg.Dest, err)
	}
	covers, err := j.flush(dirty)
	if err != nil {
		return wrap("write journal of", s.t.cfg.Dest, err)
	}
	if err := s.syncData(dirty); err != nil {
		return wrap("sync staged files of", s.t.cfg.Dest, err)
	}
	if err := j.barrier(covers); err != nil {
		return wrap("sync journal of", s.t.cfg.Dest, err)
	}
	return nil
}

// syncData makes the staged data of some files durable.
func (s *syncer) syncData(files map[*File]struct{}) error {
	if len(files) > maxSyncs || s.t.journal.hasUnsynced() {
		return s.t.syncStages()
	}
	for f := range files {
		switch err := s.syncStaged(f); {
		case errors.Is(err, unix.EACCES): // complete, and its mode keeps us out
			return s.t.syncStages()
		case err != nil && !errors.Is(err, unix.ENOENT): // gone: committed or dropped meanwhile
			return err
		}
	}
	return nil
}

func (s *syncer) syncStaged(f *File) error {
	fd, err := f.openStagedAs(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return syncFile(fd)
}

// flush runs a round now.
func (s *syncer) flush() error {
	err := s.t.blame(s.round())
	s.keepError(err)
	return err
}

// stop ends the goroutine, with a last round. After an error that concerns the whole destination, only
// the journal is written.
func (s *syncer) stop() error {
	close(s.quit)
	<-s.ended
	err := s.t.fatalError()
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		_ = s.record() // the error that is given back says enough
	}
	return err
}

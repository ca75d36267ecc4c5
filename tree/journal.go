package tree

import (
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	journalName   = "journal"
	journalNew    = "journal.new"
	journalBuffer = 64 << 10 // appended records wait here, for a second at most
	journalMost   = 64 << 20
	extentMin     = 1 << 20 // contiguous verified bytes that get their record at once
)

// journal notes which bytes of staged files are verified; files on a mount below the destination are not
// its business. Safe from many goroutines. A File's own lock is taken before the journal's.
type journal struct {
	stage *staging
	head  header
	eager bool // no buffering, in tests
	fault func(string)
	most  uint64 // a longer journal is rewritten at the next barrier

	mu       sync.Mutex
	fd       int // -1 if closed
	buf      []byte
	size     uint64 // with what waits in buf
	loaded   map[uint64]*stagedState
	names    map[uint64]struct{} // staged files of earlier runs that no entry has claimed
	asides   map[uint64]struct{} // files that gave way to an entry in an earlier run; not modified
	live     map[uint64]*File    // staged files that the journal knows
	unsynced bool                // what an earlier run wrote is not durable yet
	old      int                 // the journal that a rewritten one is about to replace; -1 if none
}

// openJournal reads the journal of an earlier run, if there is one, and starts a new one with what it
// said.
func openJournal(s *staging, cfg Config) (*journal, error) {
	j := &journal{
		stage: s, head: header{recipe: cfg.Recipe, boot: bootID(), mount: mountOf(s.fd).mount}, fault: cfg.fault, eager: cfg.eager, most: journalMost,
		fd: -1, old: -1, live: make(map[uint64]*File), names: make(map[uint64]struct{}),
		asides: make(map[uint64]struct{}),
	}
	if err := j.listStaged(cfg.Hold != nil); err != nil {
		return nil, wrap("list staging directory of", cfg.Dest, err)
	}
	if err := j.load(); err != nil {
		return nil, wrap("read journal of", cfg.Dest, err)
	}
	if err := j.rewrite(); err != nil {
		j.close()
		return nil, wrap("write journal of", cfg.Dest, err)
	}
	if err := j.replace(cfg.Fsync != FsyncNone); err != nil {
		j.close()
		return nil, wrap("write journal of", cfg.Dest, err)
	}
	return j, nil
}

// bootID names this boot of the machine; zero if unknown.
func bootID() (id [16]byte) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err != nil {
		return id
	}
	copy(id[:], raw)
	return id
}

// listStaged notes which staged files exist, and removes what was being made when an earlier run ended.
// Files that had given way are kept if old is set, up to maxHeld of them.
func (j *journal) listStaged(old bool) error {
	names, err := readNames(j.stage.fd, "")
	if err != nil {
		return err
	}
	for _, name := range names {
		if n, ok := stagedNumber(name); ok {
			j.names[n] = struct{}{}
		} else if n, ok := asideNumber(name); ok && old && len(j.asides) < maxHeld && isFileAt(j.stage.fd, name) {
			j.asides[n] = struct{}{}
		} else if name != journalName || !isFileAt(j.stage.fd, name) {
			if err := removeAll(j.stage.fd, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *journal) load() error {
	fd, err := openAt(j.stage.fd, journalName, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), journalName)
	defer f.Close()
	j.loaded, err = loadJournal(f, j.head)
	if errors.Is(err, errJournal) {
		j.loaded, err = nil, nil
	}
	if j.head.boot == ([16]byte{}) { // a boot that can't be named is never the same
		for _, s := range j.loaded {
			s.recent = nil
		}
	}
	for n, s := range j.loaded {
		if _, ok := j.names[n]; !ok {
			delete(j.loaded, n)
		} else if len(s.recent) > 0 {
			j.unsynced = true
		}
	}
	return err
}

// rewrite starts a new journal file with all that is known. Until replace, a crash finds the old one.
// What was durable is written first, so that a barrier can cover it.
func (j *journal) rewrite() error {
	fd, err := openAt(j.stage.fd, journalNew, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	j.old, j.fd, j.size = j.fd, fd, 0
	j.put(appendHeader(nil, j.head))
	for n, s := range j.loaded {
		j.putState(n, s.ino, s.size, s.durable)
	}
	if len(j.loaded) > 0 {
		j.putRecord(record{kind: recBarrier, a: j.size})
	}
	for n, s := range j.loaded {
		j.putExtents(n, s.recent)
	}
	for n, f := range j.live {
		f.pending = nil
		j.putState(n, f.ino, f.size, f.done)
	}
	return j.writeOut()
}

func (j *journal) putState(n, ino uint64, size int64, verified extents) {
	j.putRecord(record{recFile, n, ino, uint64(size)})
	j.putExtents(n, verified)
}

func (j *journal) putExtents(n uint64, verified extents) {
	for _, e := range verified {
		j.putRecord(record{recExtent, n, uint64(e.Off), uint64(e.Len)})
	}
}

// replace gives the rewritten journal its name.
func (j *journal) replace(durable bool) error {
	if durable {
		if err := unix.Fdatasync(j.fd); err != nil {
			return err
		}
	}
	if err := unix.Renameat(j.stage.fd, journalNew, j.stage.fd, journalName); err != nil {
		return err
	}
	if j.old >= 0 {
		unix.Close(j.old)
		j.old = -1
	}
	if durable {
		return syncFile(j.stage.fd)
	}
	return nil
}

func (j *journal) put(b []byte) {
	j.buf = append(j.buf, b...)
	j.size += uint64(len(b))
}

func (j *journal) putRecord(r record) {
	j.buf = appendRecord(j.buf, r)
	j.size += recordSize
}

func (j *journal) writeOut() error {
	for len(j.buf) > 0 {
		n, err := unix.Write(j.fd, j.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		j.buf = j.buf[n:]
	}
	j.buf = nil
	return nil
}

// add appends one record; j.mu is held.
func (j *journal) add(r record) error {
	j.putRecord(r)
	if j.eager || len(j.buf) >= journalBuffer {
		if err := j.writeOut(); err != nil {
			return err
		}
	}
	j.fault("journal")
	return nil
}

// verified notes a range of a staged file. Neighbours are merged; a record is due at 1 MiB.
func (j *journal) verified(f *File, e Extent) error {
	if f.dir.mount != nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if all := f.pending.add(e); all.Len < extentMin && !j.eager {
		return nil
	}
	return j.record(f)
}

// flush notes what is pending for some files and gives the length of the journal up to there.
func (j *journal) flush(files map[*File]struct{}) (uint64, error) {
	for f := range files {
		f.mu.Lock()
		err := j.record(f)
		f.mu.Unlock()
		if err != nil {
			return 0, wrap("write journal for", f.Path(), err)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size, j.writeOut()
}

// record appends what is pending for f, whose lock is held.
func (j *journal) record(f *File) error {
	if len(f.pending) == 0 || !f.staged {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if f.forgotten {
		f.pending = nil
		return nil
	}
	if !f.inLog {
		f.inLog = true
		j.live[f.number] = f
		if err := j.add(record{recFile, f.number, f.ino, uint64(f.size)}); err != nil {
			return err
		}
	}
	for _, e := range f.pending {
		if err := j.add(record{recExtent, f.number, uint64(e.Off), uint64(e.Len)}); err != nil {
			return err
		}
	}
	f.pending = nil
	return nil
}

// whole notes a file that was staged by one call; fd is the staged file.
func (j *journal) whole(f *File, fd int) error {
	if f.dir.mount != nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ino, f.inLog = st.Ino, true
	f.done = extents{{0, f.size}}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live[f.number] = f
	return j.add(record{recWhole, f.number, st.Ino, uint64(f.size)})
}

// keep notes a staged file that this run does not put in place, so that the next one finds it.
func (j *journal) keep(f *File) error {
	f.mu.Lock()
	known := f.inLog || f.left > 0 || !f.staged || f.dir.mount != nil
	err := j.record(f)
	f.mu.Unlock()
	if known || err != nil {
		return err
	}
	fd, err := openAt(j.stage.fd, stagedName(f.number), unix.O_PATH, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	defer unix.Close(fd)
	return j.whole(f, fd)
}

// forget drops a file that is in place or not staged any more. What the syncer still has to record of it
// is dropped as well.
func (j *journal) forget(f *File) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f.forgotten = true
	delete(j.live, f.number)
	delete(j.loaded, f.number)
	delete(j.names, f.number)
}

// barrier says that everything before an offset is durable, and makes that durable.
func (j *journal) barrier(covers uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.add(record{kind: recBarrier, a: covers}); err != nil {
		return err
	}
	if err := j.writeOut(); err != nil {
		return err
	}
	j.unsynced = false
	if j.old >= 0 {
		return j.replace(true)
	}
	if err := unix.Fdatasync(j.fd); err != nil {
		return err
	}
	j.fault("barrier")
	return nil
}

// shorten starts to rewrite a journal that has grown long; the next barrier ends it.
func (j *journal) shorten() error {
	j.mu.Lock()
	due := j.size > j.most && j.old < 0
	files := make([]*File, 0, len(j.live))
	for _, f := range j.live {
		files = append(files, f)
	}
	j.mu.Unlock()
	if !due {
		return nil
	}
	slices.SortFunc(files, func(a, b *File) int { return int(int64(a.number) - int64(b.number)) })
	for _, f := range files {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.writeOut(); err != nil {
		return err
	}
	return j.rewrite()
}

// hasUnsynced tells whether data of an earlier run still waits for its first barrier.
func (j *journal) hasUnsynced() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unsynced
}

// hasAside tells whether an earlier run left a file that gave way to an entry.
func (j *journal) hasAside(number uint64) bool {
	_, ok := j.asides[number]
	return ok
}

// hasUnclaimed tells whether an earlier run has staged files that no entry has claimed.
func (j *journal) hasUnclaimed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.names) > 0
}

// empty tells whether nothing is staged that a later run could use.
func (j *journal) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.live) == 0
}

func (j *journal) close() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, fd := range []int{j.fd, j.old} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	j.fd, j.old = -1, -1
}

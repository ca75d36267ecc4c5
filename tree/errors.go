package tree

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Errors that a caller decides by. Each is met through errors.Is.
var (
	// ErrLocked: another process works on this destination. The error is a *LockedError.
	ErrLocked = errors.New("destination is in use")
	// ErrNoSpace: the file system or the quota is full. Staging and journal stay for a later run.
	ErrNoSpace = errors.New("no space left at the destination")
	// ErrMaxDelete: Config.MaxDelete stopped some deletes. The error is a *MaxDeleteError.
	ErrMaxDelete = errors.New("limit of deletes reached")
	// ErrPartial: single entries failed. The error is a *PartialError.
	ErrPartial = errors.New("some entries failed")
	// ErrStaging: another process removed the staging directory, or files in it. A later run starts anew.
	ErrStaging = errors.New("what was staged was removed by another process")
	// ErrClosed: the tree was finished or aborted.
	ErrClosed = errors.New("tree is closed")
)

var (
	errShort      = errors.New("file is shorter than expected")
	errParent     = errors.New("its directory could not be made")
	errNotEmpty   = errors.New("cannot replace a directory that is not empty (--delete would)")
	errName       = errors.New("not a name that a file can have here")
	errMount      = errors.New("is a mount point")
	errSpecial    = errors.New("is a device, fifo or socket")
	errIncomplete = errors.New("some of their bytes never came")
)

// LockedError names the holder of a destination.
type LockedError struct {
	Dest  string
	PID   int       // 0 if the holder wrote none
	Since time.Time // zero if unknown
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s: %v by another dfetch", e.Dest, ErrLocked)
	}
	return fmt.Sprintf("%s: %v by dfetch process %d since %s", e.Dest, ErrLocked, e.PID, e.Since.Format(time.DateTime))
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// SpaceError says that the destination's file system cannot hold what is to come.
type SpaceError struct {
	Path       string
	Need, Free int64 // bytes; Need includes the margin
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %v: %d bytes needed (5 %% margin included), %d free", e.Path, ErrNoSpace, e.Need, e.Free)
}

// Is makes errors.Is(err, ErrNoSpace) true.
func (e *SpaceError) Is(target error) bool { return target == ErrNoSpace }

// MaxDeleteError says how many deletes were left undone, at least: what lies in directories that stay is not counted.
type MaxDeleteError struct {
	Limit   int
	Skipped uint64
}

func (e *MaxDeleteError) Error() string {
	return fmt.Sprintf("%v: %d allowed, %d or more left undone", ErrMaxDelete, max(e.Limit, 0), e.Skipped)
}

// Is makes errors.Is(err, ErrMaxDelete) true.
func (e *MaxDeleteError) Is(target error) bool { return target == ErrMaxDelete }

// Failure is one entry that could not be made right.
type Failure struct {
	Path string
	Err  error
}

// String quotes a path that would not look like itself, so that no name can pass for a message.
func (f Failure) String() string {
	path := f.Path
	if path == "" {
		path = "." // the destination itself
	}
	if q := strconv.Quote(path); q != `"`+path+`"` {
		path = q
	}
	return path + ": " + f.Err.Error()
}

// PartialError lists entries that failed while the rest went on.
type PartialError struct {
	Failed []Failure // the first maxFailures
	Count  uint64    // all
}

func (e *PartialError) Error() string {
	if len(e.Failed) == 0 {
		return fmt.Sprintf("%v: %d", ErrPartial, e.Count)
	}
	return fmt.Sprintf("%v: %d, first %s", ErrPartial, e.Count, e.Failed[0])
}

// Is makes errors.Is(err, ErrPartial) true.
func (e *PartialError) Is(target error) bool { return target == ErrPartial }

const (
	maxFailures    = 1000    // texts that are kept
	maxFailedPaths = 1 << 16 // paths that are remembered, so that no link is made to a failed file
)

// failures collects what went wrong with single entries.
type failures struct {
	mu    sync.Mutex
	first []Failure
	count uint64
	paths map[string]struct{}
}

// add notes a failure. The path is not told twice.
func (f *failures) add(path string, err error) {
	if e := (*pathError)(nil); errors.As(err, &e) && e.path == path {
		err = fmt.Errorf("%s: %w", e.doing, e.err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if len(f.first) < maxFailures {
		f.first = append(f.first, Failure{path, err})
	}
	if f.paths == nil {
		f.paths = make(map[string]struct{})
	}
	if len(f.paths) < maxFailedPaths {
		f.paths[path] = struct{}{}
	}
}

// has tells whether path failed. Once more paths failed than are remembered, every path counts.
func (f *failures) has(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.paths[path]
	return ok || len(f.paths) >= maxFailedPaths
}

func (f *failures) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count > 0
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		return nil
	}
	return &PartialError{Failed: append([]Failure(nil), f.first...), Count: f.count}
}

// fatal tells whether an error concerns the whole destination, not one entry.
func fatal(err error) bool {
	for _, e := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, ErrClosed) || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrStaging)
}

// fatal is fatal, but where a mount lies below the destination, a read-only file system may be that alone.
func (t *Tree) fatal(err error) bool {
	return fatal(err) && !(errors.Is(err, unix.EROFS) && t.mounts.any())
}

// blame names the staging directory if an error is there because somebody removed it.
func (t *Tree) blame(err error) error {
	if !errors.Is(err, unix.ENOENT) || !t.stage.gone() {
		return err
	}
	return t.stagingLost(t.stage.name)
}

// stagingLost is the error for a name in the destination.
func (t *Tree) stagingLost(name string) error {
	dir := t.cfg.Dest
	if t.single {
		dir = filepath.Dir(dir)
	}
	return fmt.Errorf("%s: %w", filepath.Join(dir, name), ErrStaging)
}

// blameStaged is blame for a file, whose staged form alone may be gone.
func (f *File) blameStaged(err error) error {
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	stage, serr := f.t.stageOf(f.dir)
	if serr != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !stage.gone() && (!f.staged || isFileAt(stage.fd, stagedName(f.number))) {
		return err
	}
	name := stage.name
	if f.dir.mount != nil {
		name = joinPath(f.dir.mount.top.path, name)
	}
	return f.t.stagingLost(name)
}

// pathError says what was being done to which path.
type pathError struct {
	doing, path string
	err         error
}

func (e *pathError) Error() string { return fmt.Sprintf("tree: %s %q: %v", e.doing, e.path, e.err) }

func (e *pathError) Unwrap() error { return e.err }

// wrap adds what was done to which path, and ErrNoSpace where it applies.
func wrap(doing, path string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = fmt.Errorf("%w (%w)", ErrNoSpace, err)
	}
	return &pathError{doing, path, err}
}

package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// watched are the events of a directory that matter: reading is none, and of a file that is written its end is one.
const watched = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
	unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK

// hears is what a notifier tells of. Its methods are called by one goroutine.
type hears interface {
	Changed(dir string) // an entry of the directory
	Made(dir string)    // the directory, which came to be there
	Gone(dir string)    // the directory, from there
	Lost()              // events: anything may have changed
}

// notifier has the kernel tell of changes in directories. The kernel knows them by what they are, whatever their paths
// become, so a path is right only until the directory is moved: adding it under its new one mends that.
type notifier struct {
	file *os.File
	ask  func(open int) (int32, error) // asks the kernel for a watch of an open directory

	mu    sync.Mutex
	paths map[int32]string
	dirs  map[string]watchedDir
	turn  uint32
	full  error // why some directories are not watched
}

// watchedDir is a directory as it was added last.
type watchedDir struct {
	id   int32  // unwatched where the kernel took no more
	ino  uint64 // its inode as the listing above it showed it; 0: none has
	turn uint32
}

// unwatched is the id of a directory that is known alone. The kernel's are positive.
const unwatched = -1

// errFull says that the kernel watches no more.
var errFull = errors.New("changes of some directories are found by the listing of everything alone, since the kernel watches no more (fs.inotify.max_user_watches)")

func newNotifier() (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	n := &notifier{file: os.NewFile(uintptr(fd), "inotify"), paths: map[int32]string{}, dirs: map[string]watchedDir{}}
	n.ask = n.askKernel
	return n, nil
}

// Close ends Listen.
func (n *notifier) Close() error { return n.file.Close() }

// Add watches an open directory, by its path. It was opened as the scope demands: the way to a path may lead to a mount that
// hangs, or to what is not to be searched.
func (n *notifier) Add(dir string, open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, err := n.ask(open)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		n.full, id = fmt.Errorf("%w: %w", errFull, err), unwatched
	case err != nil: // it is gone
		n.drop(dir)
		return
	}
	old, known := n.dirs[dir]
	if known && old.id != id {
		n.drop(dir)
	}
	if id != unwatched {
		if before, moved := n.paths[id]; moved && before != dir {
			delete(n.dirs, before)
		}
		n.paths[id] = dir
	}
	n.dirs[dir] = watchedDir{id, old.ino, n.turn}
}

// Found notes a directory that a listing showed. It says whether that is another one than before. A watch stays, as the directory
// may have been opened already: adding one that is another replaces it.
func (n *notifier) Found(dir string, ino uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, known := n.dirs[dir]
	if !known {
		d.id = unwatched
	}
	n.dirs[dir] = watchedDir{d.id, ino, n.turn}
	return !known || d.ino != ino
}

func (n *notifier) askKernel(open int) (id int32, err error) {
	dir := fmt.Sprintf("/proc/self/fd/%d", open)
	conn, err := n.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := conn.Control(func(fd uintptr) {
		var got int
		got, err = unix.InotifyAddWatch(int(fd), dir, watched)
		id = int32(got)
	})
	return id, errors.Join(cerr, err)
}

// drop ends to watch a directory.
func (n *notifier) drop(dir string) {
	d, known := n.dirs[dir]
	delete(n.dirs, dir)
	id := d.id
	if !known || id == unwatched || n.paths[id] != dir {
		return
	}
	delete(n.paths, id)
	if conn, err := n.file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(id)) }) // the kernel may have done so
	}
}

// Full is why not all directories are watched; nil if they are.
func (n *notifier) Full() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.full
}

// BeginTurn begins to add all directories anew. What is not added until EndTurn is not watched any more.
func (n *notifier) BeginTurn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turn++
	n.full = nil
}

// EndTurn ends what BeginTurn began.
func (n *notifier) EndTurn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for dir, d := range n.dirs {
		if d.turn != n.turn {
			n.drop(dir)
		}
	}
}

// ended notes that the kernel ended a watch.
func (n *notifier) ended(id int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if dir, ok := n.paths[id]; ok {
		delete(n.dirs, dir)
		delete(n.paths, id)
	}
}

// Listen tells what happens, until Close.
func (n *notifier) Listen(to hears) error {
	buf := make([]byte, 64<<10)
	for {
		got, err := n.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("inotify: %w", err)
		}
		for rest := buf[:got]; len(rest) >= unix.SizeofInotifyEvent; {
			var e event
			e, rest = parseEvent(rest)
			n.hear(e, to)
		}
	}
}

// event is one change, as the kernel tells it.
type event struct {
	id   int32
	mask uint32
	name string // of the entry
}

// parseEvent takes the first event, of at least SizeofInotifyEvent bytes, off a buffer.
func parseEvent(b []byte) (event, []byte) {
	e := event{id: int32(binary.NativeEndian.Uint32(b)), mask: binary.NativeEndian.Uint32(b[4:])}
	b, size := b[unix.SizeofInotifyEvent:], int(binary.NativeEndian.Uint32(b[12:]))
	size = min(size, len(b))
	e.name = strings.TrimRight(string(b[:size]), "\x00")
	return e, b[size:]
}

func (n *notifier) hear(e event, to hears) {
	n.mu.Lock()
	dir, known := n.paths[e.id]
	n.mu.Unlock()
	switch {
	case e.mask&unix.IN_Q_OVERFLOW != 0:
		to.Lost()
	case e.mask&unix.IN_IGNORED != 0:
		n.ended(e.id)
	case !known:
	case e.mask&(unix.IN_MOVE_SELF|unix.IN_DELETE_SELF) != 0:
		to.Gone(dir)
	default:
		to.Changed(dir)
		if e.mask&unix.IN_ISDIR != 0 && e.mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 {
			to.Made(filepath.Join(dir, e.name))
		}
	}
}

package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// watched are the events of a directory that matter: reading is none, and of a file that is written its end is one.
const watched = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
	unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK

// hears is what a notifier tells of. Its methods are called by one goroutine.
type hears interface {
	Changed(dir string) // an entry of the directory
	Lost()              // events: anything may have changed
}

// notifier has the kernel tell of changes in directories. The paths are those that they had when they were added,
// and move with a directory that is moved only when it is added anew.
type notifier struct {
	file *os.File

	mu    sync.Mutex
	paths map[int32]string
	ids   map[string]int32
	full  error // why no more are watched
}

func newNotifier() (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &notifier{file: os.NewFile(uintptr(fd), "inotify"), paths: map[int32]string{}, ids: map[string]int32{}}, nil
}

// Close ends Listen.
func (n *notifier) Close() error { return n.file.Close() }

// Add watches a directory from now on. It says whether it was not watched before, and is now.
func (n *notifier) Add(dir string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.ids[dir]; ok || n.full != nil {
		return false
	}
	id, err := n.add(dir)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		n.full = fmt.Errorf("%d directories are watched, and the kernel takes no more (fs.inotify.max_user_watches): %w", len(n.ids), err)
		return false
	case err != nil:
		return false // it is gone, or may not be read
	}
	if old, moved := n.paths[id]; moved {
		delete(n.ids, old)
	}
	n.paths[id], n.ids[dir] = dir, id
	return true
}

func (n *notifier) add(dir string) (id int32, err error) {
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

// Has says whether a directory is watched.
func (n *notifier) Has(dir string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.ids[dir]
	return ok
}

// Full is why not all directories are watched; nil if they are.
func (n *notifier) Full() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.full
}

// forget ends to watch a directory and those below it, which are gone from there.
func (n *notifier) forget(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.ids[dir]; !ok {
		return
	}
	for path, id := range n.ids {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			n.drop(id)
		}
	}
}

// drop ends one watch.
func (n *notifier) drop(id int32) {
	delete(n.ids, n.paths[id])
	delete(n.paths, id)
	n.full = nil
	if conn, err := n.file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(id)) }) // the kernel may have done so
	}
}

// ended notes that the kernel ended a watch.
func (n *notifier) ended(id int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if dir, ok := n.paths[id]; ok {
		delete(n.ids, dir)
		delete(n.paths, id)
		n.full = nil
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
	switch {
	case e.mask&unix.IN_Q_OVERFLOW != 0:
		to.Lost()
		return
	case e.mask&unix.IN_IGNORED != 0:
		n.ended(e.id)
		return
	}
	n.mu.Lock()
	dir, ok := n.paths[e.id]
	n.mu.Unlock()
	if !ok {
		return
	}
	if e.mask&unix.IN_ISDIR != 0 && e.mask&(unix.IN_MOVED_FROM|unix.IN_DELETE) != 0 {
		n.forget(join(dir, e.name))
	}
	to.Changed(dir)
}

// join is the path of an entry.
func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// told hands what a notifier tells to a test.
type told struct {
	changed, made, gone chan string
	lost                chan struct{}
}

func (h told) Changed(dir string) { h.changed <- dir }
func (h told) Made(dir string)    { h.made <- dir }
func (h told) Gone(dir string)    { h.gone <- dir }
func (h told) Lost()              { h.lost <- struct{}{} }

func newTold() told {
	return told{make(chan string, 1<<16), make(chan string, 1<<16), make(chan string, 1<<16), make(chan struct{}, 1<<16)}
}

func listen(t *testing.T) (*notifier, told) {
	t.Helper()
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	h := newTold()
	listenTo(t, n, h)
	return n, h
}

// listenTo has a notifier tell until the test ends.
func listenTo(t *testing.T, n *notifier, h hears) {
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Listen(h); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// watch adds a directory as a listing does that finds it. It says whether it is another one than before.
func (n *notifier) watch(t *testing.T, path string) bool {
	t.Helper()
	dir, err := os.Open(path)
	must(t, err)
	defer dir.Close()
	var st unix.Stat_t
	must(t, unix.Fstat(int(dir.Fd()), &st))
	isNew := n.Found(path, st.Ino)
	n.Add(path, int(dir.Fd()))
	return isNew
}

// Has says whether a directory is watched.
func (n *notifier) Has(dir string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, ok := n.dirs[dir]
	return ok && d.id != unwatched
}

// count is how many directories are watched; -1 if what is known of them does not agree.
func (n *notifier) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for dir, d := range n.dirs {
		if d.id != unwatched && n.paths[d.id] != dir {
			return -1
		}
	}
	return len(n.paths)
}

// wantChange waits until a change in a directory is told of.
func (h told) wantChange(t *testing.T, dir string) {
	t.Helper()
	wantTold(t, h.changed, dir)
}

// wantTold waits until a directory is told of.
func wantTold(t *testing.T, told <-chan string, dir string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case got := <-told:
			if got == dir {
				return
			}
		case <-deadline:
			t.Fatalf("nothing of %s in a minute", dir)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNotifierTells(t *testing.T) {
	n, h := listen(t)
	dir := t.TempDir()
	if !n.watch(t, dir) || n.watch(t, dir) {
		t.Error("a directory is not another one just once")
	}
	file := filepath.Join(dir, "f")
	sub := filepath.Join(dir, "sub")
	for i, do := range []func() error{
		func() error { return os.WriteFile(file, []byte("x"), 0o600) },
		func() error { return os.Chmod(file, 0o644) },
		func() error { return os.Rename(file, file+"2") },
		func() error { return os.Remove(file + "2") },
		func() error { return os.Mkdir(sub, 0o700) },
		func() error { return os.Remove(sub) },
	} {
		h.drain(t, n)
		if err := do(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		h.wantChange(t, dir)
	}
}

// drain waits until all that happened so far was told.
func (h told) drain(t *testing.T, n *notifier) {
	t.Helper()
	mark := t.TempDir()
	n.watch(t, mark)
	must(t, os.WriteFile(filepath.Join(mark, "x"), nil, 0o600))
	h.wantChange(t, mark)
	for {
		select {
		case <-h.changed:
		default:
			return
		}
	}
}

// A directory that moves is watched at its new place once it is added there, with what lies in it, and no more at the old.
func TestNotifierFollowsMoves(t *testing.T) {
	n, h := listen(t)
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "old"), filepath.Join(dir, "moved")
	must(t, os.MkdirAll(filepath.Join(old, "deep"), 0o700))
	for _, d := range []string{dir, old, filepath.Join(old, "deep")} {
		n.watch(t, d)
	}
	must(t, os.Rename(old, moved))
	wantTold(t, h.made, moved)
	wantTold(t, h.gone, old)
	if !n.watch(t, moved) || !n.watch(t, filepath.Join(moved, "deep")) {
		t.Error("the new place can't be watched")
	}
	if n.Has(old) || n.Has(filepath.Join(old, "deep")) || n.count() != 3 {
		t.Errorf("the old place is still watched, one of %d", n.count())
	}
	must(t, os.WriteFile(filepath.Join(moved, "deep", "f"), nil, 0o600))
	h.wantChange(t, filepath.Join(moved, "deep"))
}

// Another directory may come to stand where one was that still exists.
func TestNotifierFindsAnother(t *testing.T) {
	n, h := listen(t)
	dir := t.TempDir()
	sub, away := filepath.Join(dir, "sub"), filepath.Join(t.TempDir(), "away")
	must(t, os.Mkdir(sub, 0o700))
	n.watch(t, sub)
	must(t, os.Rename(sub, away))
	must(t, os.Mkdir(sub, 0o700))
	if !n.watch(t, sub) || n.watch(t, sub) || n.count() != 1 {
		t.Errorf("%d are watched", n.count())
	}
	h.drain(t, n)
	must(t, os.WriteFile(filepath.Join(away, "f"), nil, 0o600))
	h.wantNothing(t, n, sub)
	must(t, os.WriteFile(filepath.Join(sub, "f"), nil, 0o600))
	h.wantChange(t, sub)
}

// wantNothing says that no change in a directory is told of.
func (h told) wantNothing(t *testing.T, n *notifier, dir string) {
	t.Helper()
	mark := t.TempDir()
	n.watch(t, mark)
	must(t, os.WriteFile(filepath.Join(mark, "x"), nil, 0o600))
	for deadline := time.After(time.Minute); ; {
		select {
		case got := <-h.changed:
			if got == dir {
				t.Errorf("told of %s", got)
			}
			if got == mark {
				return
			}
		case <-deadline:
			t.Fatal("nothing in a minute")
		}
	}
}

func TestNotifierForgetsWhatIsGone(t *testing.T) {
	n, h := listen(t)
	sub := filepath.Join(t.TempDir(), "sub")
	for range 3 {
		must(t, os.Mkdir(sub, 0o700))
		if !n.watch(t, sub) {
			t.Fatal("it is not another one")
		}
		must(t, os.Remove(sub))
		wantTold(t, h.gone, sub)
		h.drain(t, n)
		if n.Has(sub) {
			t.Fatal("a directory that is gone is watched")
		}
	}
}

// What is not added again while all are, is not watched after that.
func TestNotifierTurns(t *testing.T) {
	n, _ := listen(t)
	kept, left := t.TempDir(), t.TempDir()
	n.watch(t, kept)
	n.watch(t, left)
	n.BeginTurn()
	n.watch(t, kept)
	n.EndTurn()
	if !n.Has(kept) || n.Has(left) || n.count() != 1 {
		t.Errorf("%d are watched", n.count())
	}
}

// When the kernel watches no more, a directory is new just once all the same, and watched as soon as that can be.
func TestNotifierIsFull(t *testing.T) {
	n, _ := listen(t)
	dir := t.TempDir()
	n.ask = func(int) (int32, error) { return 0, unix.ENOSPC }
	if !n.watch(t, dir) || n.watch(t, dir) || n.Has(dir) || !errors.Is(n.Full(), unix.ENOSPC) {
		t.Errorf("%d are watched: %v", n.count(), n.Full())
	}
	n.ask = n.askKernel
	n.BeginTurn()
	if n.watch(t, dir); !n.Has(dir) || n.Full() != nil {
		t.Errorf("%d are watched: %v", n.count(), n.Full())
	}
	n.EndTurn()
}

// What is found and can't be opened is not new each time, and not watched.
func TestNotifierFindsWhatIsClosed(t *testing.T) {
	n, _ := listen(t)
	if !n.Found("/a/m", 7) || n.Found("/a/m", 7) || !n.Found("/a/m", 8) || n.Has("/a/m") || n.count() != 0 {
		t.Errorf("%v", n.dirs)
	}
}

// Events that nobody takes are lost in the end.
func TestLostEvents(t *testing.T) {
	n, err := newNotifier()
	must(t, err)
	dir := t.TempDir()
	n.watch(t, dir)
	names := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for _, name := range names {
		must(t, os.WriteFile(name, nil, 0o600))
	}
	for i := range maxQueuedEvents(t) + 10 {
		must(t, os.Chmod(names[i%2], 0o600)) // the same twice would be one event
	}
	h := onlyLost{newTold()}
	listenTo(t, n, h)
	select {
	case <-h.lost:
	case <-time.After(time.Minute):
		t.Fatal("not told in a minute")
	}
}

// onlyLost leaves out what may be too much for a channel.
type onlyLost struct{ told }

func (onlyLost) Changed(string) {}

// maxQueuedEvents is how many events the kernel keeps.
func maxQueuedEvents(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	must(t, err)
	return n
}

func TestParseEvent(t *testing.T) {
	raw := binary.NativeEndian.AppendUint32(nil, 7)
	for _, v := range []uint32{unix.IN_CREATE, 0, 4} {
		raw = binary.NativeEndian.AppendUint32(raw, v)
	}
	raw = append(raw, "ab\x00\x00rest"...)
	e, rest := parseEvent(raw)
	if (e != event{7, unix.IN_CREATE, "ab"}) || string(rest) != "rest" {
		t.Errorf("%+v, then %q", e, rest)
	}
	if e, rest := parseEvent(raw[:unix.SizeofInotifyEvent+1]); e.name != "a" || len(rest) != 0 {
		t.Errorf("cut off: %+v, then %q", e, rest)
	}
}

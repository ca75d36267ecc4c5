package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// told hands what a notifier tells to a test.
type told struct {
	changed chan string
	lost    chan struct{}
}

func (h told) Changed(dir string) { h.changed <- dir }
func (h told) Lost()              { h.lost <- struct{}{} }

func listen(t *testing.T) (*notifier, told) {
	t.Helper()
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	h := told{make(chan string, 4096), make(chan struct{}, 4096)}
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
	return n, h
}

// wantChange waits until a directory is told of.
func (h told) wantChange(t *testing.T, dir string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case got := <-h.changed:
			if got == dir {
				return
			}
		case <-deadline:
			t.Fatalf("no change of %s in a minute", dir)
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
	if !n.Add(dir) || n.Add(dir) || n.Add(filepath.Join(dir, "nowhere")) {
		t.Error("a directory is not added exactly once")
	}
	file := filepath.Join(dir, "f")
	for what, do := range map[string]func() error{
		"write":  func() error { return os.WriteFile(file, []byte("x"), 0o600) },
		"chmod":  func() error { return os.Chmod(file, 0o644) },
		"rename": func() error { return os.Rename(file, file+"2") },
		"mkdir":  func() error { return os.Mkdir(filepath.Join(dir, "sub"), 0o700) },
		"rmdir":  func() error { return os.RemoveAll(filepath.Join(dir, "sub")) },
	} {
		if what == "chmod" || what == "rename" {
			must(t, os.WriteFile(file, nil, 0o600))
		}
		h.drain(t, n)
		must(t, do())
		h.wantChange(t, dir)
	}
}

// drain waits until all that happened so far was told.
func (h told) drain(t *testing.T, n *notifier) {
	t.Helper()
	mark := t.TempDir()
	if !n.Add(mark) {
		t.Fatal("can't be watched")
	}
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
		n.Add(d)
	}
	must(t, os.Rename(old, moved))
	h.drain(t, n)
	if n.Has(old) || n.Has(filepath.Join(old, "deep")) {
		t.Error("the old place is still watched")
	}
	if !n.Add(moved) || !n.Add(filepath.Join(moved, "deep")) {
		t.Error("the new place can't be watched")
	}
	h.drain(t, n)
	must(t, os.WriteFile(filepath.Join(moved, "deep", "f"), nil, 0o600))
	h.wantChange(t, filepath.Join(moved, "deep"))
}

// The kernel knows a directory as the same one, wherever it has moved to meanwhile.
func TestNotifierAddedUnderTwoNames(t *testing.T) {
	n, h := listen(t)
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "old"), filepath.Join(dir, "moved")
	must(t, os.Mkdir(old, 0o700))
	n.Add(old)
	must(t, os.Rename(old, moved))
	if !n.Add(moved) || n.Has(old) || len(n.paths) != len(n.ids) {
		t.Errorf("paths %v, ids %v", n.paths, n.ids)
	}
	must(t, os.WriteFile(filepath.Join(moved, "f"), nil, 0o600))
	h.wantChange(t, moved)
}

func TestNotifierForgetsWhatIsGone(t *testing.T) {
	n, h := listen(t)
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	for range 3 {
		must(t, os.Mkdir(sub, 0o700))
		if !n.Add(dir) && !n.Has(dir) || !n.Add(sub) {
			t.Fatal("can't be watched")
		}
		must(t, os.Remove(sub))
		h.drain(t, n)
		if n.Has(sub) {
			t.Fatal("a directory that is gone is watched")
		}
	}
}

func TestNotifierIsFull(t *testing.T) {
	n, _ := listen(t)
	n.full = unix.ENOSPC
	if dir := t.TempDir(); n.Add(dir) || !errors.Is(n.Full(), unix.ENOSPC) {
		t.Errorf("one more is watched: %v", n.Full())
	}
	n.full = nil
	sub := t.TempDir()
	n.Add(sub)
	n.full = unix.ENOSPC
	n.forget(sub)
	if n.Full() != nil || n.Has(sub) {
		t.Error("what is forgotten makes no room")
	}
}

func TestLostEvents(t *testing.T) {
	n, h := listen(t)
	n.hear(event{id: -1, mask: unix.IN_Q_OVERFLOW}, h)
	select {
	case <-h.lost:
	default:
		t.Error("not told")
	}
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

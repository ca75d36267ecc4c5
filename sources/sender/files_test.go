package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
	"dfetch/sources"
)

// TestFilesStayInTheTree replaces parts of the way to a file by what leads elsewhere.
func TestFilesStayInTheTree(t *testing.T) {
	outside := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(outside, "sub"), 0o755))
	secret := filepath.Join(outside, "sub", "f")
	check(t, os.WriteFile(secret, []byte("secret"), 0o644))
	info, err := os.Stat(secret)
	check(t, err)
	for name, build := range map[string]func(dir string) error{
		"file is a link":      func(dir string) error { return os.Symlink(secret, filepath.Join(dir, "d/sub/f")) },
		"directory is a link": func(dir string) error { return relink(filepath.Join(dir, "d/sub"), filepath.Join(outside, "sub")) },
		"parent is a link":    func(dir string) error { return relink(filepath.Join(dir, "d"), outside) },
		"file is a fifo":      func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "d/sub/f"), 0o644) },
		"file is missing":     func(string) error { return nil },
	} {
		dir := t.TempDir()
		check(t, os.MkdirAll(filepath.Join(dir, "d/sub"), 0o755))
		check(t, build(dir))
		root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		check(t, err)
		f := newFiles(root)
		p := make([]byte, info.Size())
		err = f.read(&target{dir: "d/sub", name: "f", size: info.Size(), mtime: info.ModTime().UnixNano()}, 0, p)
		if !errors.Is(err, sources.ErrChanged) || bytes.Contains(p, []byte("sec")) {
			t.Errorf("%s: read %q, %v", name, p, err)
		}
		if fd, err := walkSteps(root, "d/sub"); err == nil {
			_ = unix.Close(fd)
			if name == "directory is a link" || name == "parent is a link" {
				t.Errorf("%s: the slow way went through", name)
			}
		}
		f.close()
		check(t, unix.Close(root))
	}
}

func relink(path, to string) error {
	return errors.Join(os.RemoveAll(path), os.Symlink(to, path))
}

// TestWriteDuringRead changes a file between two reads of it.
func TestWriteDuringRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	check(t, os.WriteFile(path, []byte("before"), 0o644))
	info, err := os.Stat(path)
	check(t, err)
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(root)
	f := newFiles(root)
	defer f.close()
	file := &target{name: "f", size: 6, mtime: info.ModTime().UnixNano()}
	p := make([]byte, 3)
	check(t, f.read(file, 0, p))
	check(t, os.WriteFile(path, []byte("after!"), 0o644))
	later := info.ModTime().Add(time.Second)
	check(t, os.Chtimes(path, later, later))
	if err := f.read(file, 3, p); !errors.Is(err, sources.ErrChanged) {
		t.Fatalf("%v, want ErrChanged", err)
	}
	check(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	if err := f.read(file, 0, p); !errors.Is(err, sources.ErrChanged) {
		t.Fatalf("a change that was seen was forgotten: %v", err)
	}
}

// deepRecipe is directories in directories, with files of several chunks and holes between them. It
// returns each chunk's file and offset in recipe order.
func deepRecipe(t *testing.T) (*recipe.Root, recipe.MemNodes, []string) {
	nodes := recipe.MemNodes{}
	var order []string
	id := byte(0)
	file := func(dir, name string, chunks int) recipe.Entry {
		lb := recipe.NewListBuilder(nodes.Put(recipe.BLAKE3))
		off := int64(0)
		for i := range chunks {
			if i%5 == 4 {
				check(t, lb.Add(recipe.Ref{Bytes: recipe.MinHole, Hole: true}))
				off += recipe.MinHole
			}
			id++
			check(t, lb.Add(recipe.Ref{ID: recipe.BLAKE3.Chunk([]byte(fmt.Sprint(dir, name, i))), Bytes: 4096, Chunks: 1}))
			order = append(order, fmt.Sprintf("%s %d", filepath.Join(dir, name), off))
			off += 4096
		}
		list, err := lb.Finish()
		check(t, err)
		return recipe.Entry{Name: name, Type: recipe.TypeFile, Mode: 0o644, Size: off, Content: list}
	}
	var build func(dir string, depth int) recipe.NodeRef
	build = func(dir string, depth int) recipe.NodeRef {
		b := recipe.NewDirBuilder(recipe.MaskPortable, nodes.Put(recipe.BLAKE3))
		for i := range 40 {
			e := file(dir, fmt.Sprintf("%03d-file", i), 1+i%7*i)
			check(t, b.Add(&e))
			if i%16 != 0 || depth == 0 {
				continue
			}
			name := fmt.Sprintf("%03d-sub", i)
			check(t, b.Add(&recipe.Entry{Name: name, Type: recipe.TypeDir, Mode: 0o755, Dir: build(filepath.Join(dir, name), depth-1)}))
		}
		ref, err := b.Finish()
		check(t, err)
		return ref
	}
	top := recipe.Entry{Type: recipe.TypeDir, Mode: 0o755, Dir: build("", 2)}
	return &recipe.Root{Mask: recipe.MaskPortable, Hash: recipe.BLAKE3, Top: top}, nodes, order
}

func TestCursor(t *testing.T) {
	root, nodes, order := deepRecipe(t)
	ctx := context.Background()
	c := newCursor(nodes, root)
	look := func(i int) {
		t.Helper()
		p, err := c.at(ctx, uint64(i))
		if err != nil {
			t.Fatalf("chunk %d: %v", i, err)
		}
		if got := fmt.Sprintf("%s %d", p.file.path(), p.off); got != order[i] || p.size != 4096 {
			t.Fatalf("chunk %d is %q, want %q", i, got, order[i])
		}
	}
	for i := range order {
		look(i)
	}
	for i := len(order) - 1; i >= 0; i -= 3 {
		look(i)
	}
	for i := range 5000 {
		look(i * 7919 % len(order))
	}
	if _, err := c.at(ctx, uint64(len(order))); err == nil {
		t.Fatal("a chunk after the last was found")
	}
	look(0)
}

func TestGate(t *testing.T) {
	cfg := ServerConfig{MaxConns: 3, MaxConnsPerIP: 2}
	cfg.setDefaults()
	g := newGate(&cfg)
	a, b := &net.TCPAddr{IP: net.IPv4(1, 1, 1, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(2, 2, 2, 2), Port: 1}
	now := time.Now()
	enter := func(addr net.Addr) (func(), error) {
		_, leave, err := g.enter(now, addr)
		return leave, err
	}
	leave, err := enter(a)
	check(t, err)
	_, err = enter(a)
	check(t, err)
	if _, err := enter(a); err == nil {
		t.Error("a third connection of one address was taken")
	}
	_, err = enter(b)
	check(t, err)
	if _, err := enter(b); err == nil {
		t.Error("a fourth connection was taken")
	}
	leave()
	if _, err := enter(b); err != nil {
		t.Errorf("a connection was refused after one had left: %v", err)
	}
}

func TestUploadLimit(t *testing.T) {
	w := flatWorld(t, []spec{{"f", noise(1, 300<<10)}})
	r := serveWorld(t, w, ServerConfig{UploadLimit: 400 << 10})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	begin := time.Now()
	check(t, c.Request(w.wants))
	sink.settled(t, len(w.wants))
	// A burst of 64 KiB is free; the rest takes 0.59 s at 400 KiB/s.
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("300 KiB came within %v at 400 KiB/s", took)
	}
}

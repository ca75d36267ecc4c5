package costmodel

import (
	"fmt"
	"testing"
)

// A file that was seen before its namesake was wanted is compared as soon as that is wanted; of very many files those
// that were seen last come after a few such questions, or with the sweep.
func TestNamesakesAreCompared(t *testing.T) {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"d"}, 0)
	for i := range 2*fillStep + 10 {
		p.AddFile(root, fmt.Sprint("f", i), 1<<20, 1)
	}
	compared := func(i int) bool { return p.files.at(uint32(i)).pairs > 0 }
	want := func(i int) {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, fmt.Sprint("f", i)), Size: 1 << 20, MTime: 1})
		p.Want(p.Group(s), 64, 1<<20)
	}
	want(5)
	if !compared(5) || compared(6) {
		t.Errorf("the namesake is compared: %v, another file: %v", compared(5), compared(6))
	}
	late := 2*fillStep + 5
	want(7)
	want(late)
	if !compared(late) {
		t.Error("after three questions a late file is not found")
	}
}

// A file of which a part is being hashed when its namesake comes to be wanted is compared when that part is done: nothing else
// would look at it for long.
func TestFileUnderWayIsComparedWhenItsSliceEnds(t *testing.T) {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"d"}, 0)
	want := func(name string) GroupID {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, name), Size: 64 << 20, MTime: 1})
		g := p.Group(s)
		p.Want(g, 4096, 64<<20)
		return g
	}
	want("link")
	id, _ := p.AddFile(root, "compile", 64<<20, 1)
	op, ok := p.Next(start)
	for ; ok && op.Kind != OpHash; op, ok = p.Next(start) {
		p.Start(op)
		p.Done(op, Result{Seconds: 1e-4, Units: 1})
	}
	if !ok || !p.Start(op) || op.ID != uint32(id) {
		t.Fatalf("%+v is to be hashed, %v", op, ok)
	}
	g := want("compile")
	if p.Placed(g) {
		t.Fatal("a file under way was compared")
	}
	p.Done(op, Result{Seconds: 1e-2, Units: op.Len})
	if prob, _ := p.Later(g); !p.Placed(g) || prob < 0.1 {
		t.Errorf("after its first slice the namesake has a chance of %.3f", prob)
	}
}

// Of many files with one name, the one in a directory of the right name is found.
func TestNamesakeInItsDirectory(t *testing.T) {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"old"}, 0)
	const dirs = 50
	for i := range dirs {
		d, _ := p.AddDir(root, fmt.Sprint("d", i), 0)
		p.AddFile(d, "index.js", int64(1000+i), 1)
	}
	for i := range dirs {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"new", fmt.Sprint("d", i)}, "index.js"), Size: int64(1100 + i), MTime: 2})
		p.Want(p.Group(s), 1, int64(1100+i))
		if n := p.files.at(uint32(i)).pairs; n == 0 {
			t.Fatalf("the file in directory %d was not compared", i)
		}
	}
}

// A file that was hashed before anybody wanted anything like it is known when its next version is wanted.
func TestReadBefore(t *testing.T) {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"old"}, 0)
	want := func(name string) GroupID {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"old"}, name), Size: 1100, MTime: 2})
		g := p.Group(s)
		p.Want(g, 1, 1100)
		return g
	}
	other := want("b")
	p.AddFile(root, "a", 1000, 1)
	p.AddFile(root, "b", 1050, 1)
	read := map[uint32]bool{}
	for len(read) < 2 {
		op, ok := p.Next(start)
		if !ok {
			t.Fatalf("only %v were hashed", read)
		}
		if !p.Start(op) {
			t.Fatalf("%+v can't be started", op)
		}
		read[op.ID] = op.Kind == OpHash
		p.Done(op, Result{Seconds: 1e-4, Units: max(1, op.Len), Failed: op.Kind == OpHash})
	}
	g := want("a")
	if id, ok := p.ReadBefore(g, 1<<20, 0.05); !ok || id != 0 {
		t.Errorf("file %d, %v; want 0", id, ok)
	}
	if _, ok := p.ReadBefore(g, 999, 0.05); ok {
		t.Error("a file that is too long is given")
	}
	if _, ok := p.ReadBefore(g, 1<<20, 0.99); ok {
		t.Error("an unlikely file is given")
	}
	if _, ok := p.ReadBefore(other, 1<<20, 0.05); ok {
		t.Error("a file that was hashed while it was wanted is given")
	}
	// A file that waits is not pushed aside by one as likely that was read in vain.
	p.AddFile(root, "c", 1000, 1)
	c := want("c")
	if !p.Waits(c) || !p.Namesake(c) {
		t.Error("the file that waits is not the likeliest")
	}
}

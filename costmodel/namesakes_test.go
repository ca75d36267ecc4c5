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
	compared := func(i int) bool { return p.files.at(uint32(i)).pairs.n > 0 }
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

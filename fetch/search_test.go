package fetch

import "testing"

func TestSharedNames(t *testing.T) {
	for _, tt := range []struct {
		paths []string
		want  int
	}{
		{[]string{"/a/b/c"}, 3},
		{[]string{"/a/b/c", "/a/b"}, 2},
		{[]string{"/a/b/c", "/a/x/c", "/a/b"}, 1},
		{[]string{"/a", "/b"}, 0},
		{[]string{"/a/b", "/"}, 0},
	} {
		var paths [][]string
		for _, p := range tt.paths {
			paths = append(paths, components(p))
		}
		if got := sharedNames(paths); got != tt.want {
			t.Errorf("%v share %d names, want %d", tt.paths, got, tt.want)
		}
	}
}

// What a search has seen is copied once for each doubling, and a file that was hashed to its end costs no more than one that
// was only seen.
func TestMemoryOfASearch(t *testing.T) {
	var seen []int
	moves := 0
	for range 1 << 16 {
		room := roomFor(seen, 1)
		if cap(room) != cap(seen) {
			moves++
		}
		seen = append(room, 0)
	}
	if moves > 17 {
		t.Errorf("%d moves for 2^16 elements", moves)
	}
	s := &searcher{begun: map[uint32]progress{}}
	s.cameTo(3, progress{early: true}, false)
	if !s.begun[3].early {
		t.Error("how far a file was hashed is forgotten")
	}
	s.cameTo(3, progress{}, true)
	if len(s.begun) > 0 {
		t.Error("a file that was hashed to its end is kept in mind")
	}
}

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

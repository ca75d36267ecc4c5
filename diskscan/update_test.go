package diskscan

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "sub/b", "sub/deep/c"} {
		write(t, filepath.Join(dir, name), noise(name, 30_000))
	}
	write(t, filepath.Join(dir, "empty"), nil)
	x := openIndex(t, IndexConfig{})
	update := func(want UpdateStats) {
		t.Helper()
		got, err := Update(t.Context(), UpdateConfig{Index: x, Roots: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		if got.Files != want.Files || got.Known != want.Known || got.Hashed != want.Hashed || got.Bytes != want.Bytes ||
			got.Dropped != want.Dropped || got.Errors != 0 {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	update(UpdateStats{Files: 3, Hashed: 3, Bytes: 90_000})
	update(UpdateStats{Files: 3, Known: 3})
	write(t, filepath.Join(dir, "a"), noise("new", 31_000))
	if err := os.Remove(filepath.Join(dir, "sub/b")); err != nil {
		t.Fatal(err)
	}
	update(UpdateStats{Files: 2, Known: 1, Hashed: 1, Bytes: 31_000, Dropped: 1})
	if s, err := x.Stats(t.Context()); err != nil || s.Files != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	got, err := Update(t.Context(), UpdateConfig{Index: x, Roots: []string{filepath.Join(dir, "nowhere")}})
	if err != nil || len(got.Refused) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

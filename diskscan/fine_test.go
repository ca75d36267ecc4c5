package diskscan

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"dfetch/recipe"
)

func TestFineCutsAStretch(t *testing.T) {
	dir := t.TempDir()
	data := noise("a", 100_000)
	write(t, filepath.Join(dir, "f"), data)
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	for _, c := range []struct{ off, n, end int64 }{{0, 100_000, 100_000}, {777, 50_000, 50_777}, {90_000, 50_000, 100_000}, {100_000, 10, 100_000}, {200_000, 10, 200_000}} {
		got, read, err := d.Fine(t.Context(), fileAt("f"), c.off, c.n)
		there := data[min(c.off, 100_000):min(c.end, 100_000)]
		want := recipe.Fine(recipe.BLAKE3, nil, there)
		if err != nil || !slices.Equal(got, want) || !bytes.Equal(read, there) {
			t.Errorf("%d bytes from %d: %d entries, want %d; %v", c.n, c.off, len(got), len(want), err)
		}
	}
	for _, bad := range [][2]int64{{-1, 10}, {0, -1}, {0, MaxStretch + 1}} {
		if _, _, err := d.Fine(t.Context(), fileAt("f"), bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	if _, _, err := d.Fine(t.Context(), fileAt("none"), 0, 10); err == nil {
		t.Error("a file that is not there was cut")
	}
}

func TestReadPieces(t *testing.T) {
	dir := t.TempDir()
	data := noise("a", 100_000)
	write(t, filepath.Join(dir, "f"), data)
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	buf := make([]byte, 300)
	pieces := []Piece{{Offset: 5000, To: buf[:100]}, {Offset: 10, To: buf[200:]}}
	if err := d.ReadPieces(t.Context(), fileAt("f"), pieces); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(data[5000:5100], make([]byte, 100), data[10:110])
	if !bytes.Equal(buf, want) {
		t.Error("wrong bytes")
	}
	clear(buf)
	pieces = append(pieces, Piece{Offset: 99_999, To: buf[100:200]})
	if err := d.ReadPieces(t.Context(), fileAt("f"), pieces); err == nil || !bytes.Equal(buf, make([]byte, 300)) {
		t.Errorf("pieces beyond the end: %v; some were read: %v", err, !bytes.Equal(buf, make([]byte, 300)))
	}
}

// TestPiecesOfAClosedScope: what the network brings may have to be completed from the disk at the moment at which the
// search ends.
func TestPiecesOfAClosedScope(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), noise("a", 1000))
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	f := fileAt("f")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.scope.Close()
	if err := d.ReadPieces(t.Context(), f, []Piece{{To: make([]byte, 10)}}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want %v", err, ErrClosed)
	}
}

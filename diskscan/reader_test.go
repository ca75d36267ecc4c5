package diskscan

import (
	"errors"
	"path/filepath"
	"testing"
)

// spy is a Reader that notes the ranges that it is told of and fails from an offset on.
type spy struct {
	kernel
	fetched [][2]int64
	failAt  int64
}

var errSpy = errors.New("the disk is broken")

func (s *spy) Fetch(_ int, off, end int64, _ bool) { s.fetched = append(s.fetched, [2]int64{off, end}) }

func (s *spy) ReadAt(fd int, p []byte, off int64) (int, error) {
	if s.failAt > 0 && off >= s.failAt {
		return 0, errSpy
	}
	return s.kernel.ReadAt(fd, p, off)
}

func TestHashReadsByItsReader(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), noise("reader", 300_000))
	reader := &spy{}
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{Reader: reader, Slice: 200_000})
	f := listAll(t, d)[0]
	res, err := d.Hash(t.Context(), f, HashState{}, nil, nil)
	if err != nil || len(reader.fetched) != 1 || reader.fetched[0] != [2]int64{0, 200_000} {
		t.Errorf("fetched %v, %v", reader.fetched, err)
	}
	reader.failAt = 1
	if _, err := d.Hash(t.Context(), f, res.Next, nil, nil); !errors.Is(err, errSpy) {
		t.Errorf("a reader that fails: %v", err)
	}
}

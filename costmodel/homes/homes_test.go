package homes

import (
	"reflect"
	"testing"
)

func TestNew(t *testing.T) {
	const dirs, files = 300, 4000
	h := New(3, dirs, files)
	if !reflect.DeepEqual(h.Dirs[dirs-1].Files, New(3, dirs, files).Dirs[dirs-1].Files) {
		t.Error("one seed gives two homes")
	}
	n := 0
	for _, d := range h.Dirs {
		names := map[string]bool{}
		for _, c := range d.Dirs {
			names[c.Path[len(c.Path)-1]] = true
		}
		for _, f := range d.Files {
			if names[f.Name] {
				t.Errorf("%v has two entries %s", d.Path, f.Name)
			}
			names[f.Name] = true
			if f.Size < 1 {
				t.Errorf("%v/%s has %d bytes", d.Path, f.Name, f.Size)
			}
		}
		n += len(d.Files)
	}
	if len(h.Dirs) != dirs || n != files+10 {
		t.Errorf("%d directories and %d files, want %d and %d", len(h.Dirs), n, dirs, files+10)
	}
}

func TestThePapersHome(t *testing.T) {
	h := New(7, Dirs, Files)
	var bytes float64
	for _, d := range h.Dirs {
		for _, f := range d.Files {
			bytes += float64(f.Size)
		}
	}
	if bytes < 60e9 || bytes > 95e9 {
		t.Errorf("%.1f GB, want about 76", bytes/1e9)
	}
	for _, row := range Table3() {
		for _, f := range h.Dir(row.In...).Files {
			if f.Name == row.Useful.Name {
				t.Errorf("row %s: %v has a file %s before it is put there", row.Name, row.In, f.Name)
			}
		}
	}
}

// Package homes makes up home directories to search, as large as the one that dsync was tried on, and names the places
// in which it looked for a useful file (the paper's Table 3). Equal seeds give equal homes.
//
// A home is a plan: nothing is written. Words, types and sizes of files are drawn from lists and from a long-tailed
// distribution; what a real home has of order, such as projects with files of a kind, it does not have.
package homes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Dirs and Files are the size of the paper's home: "The file system had 445,355 files in 37,157 directories,
// occupying 76 GB."
const Dirs, Files = 37157, 445355

// What is looked for: the file a.out in the directory /s/y/n/c/test of the home.
const (
	WantedName = "a.out"
	WantedSize = 12_000_000
	WantedTime = int64(5e17)
	otherTime  = int64(3e17) // of files that are useful under another time
)

// WantedDir returns the directory of the wanted file.
func WantedDir() []string { return []string{"s", "y", "n", "c", "test"} }

// Home is a tree of directories; the first is its top.
type Home struct {
	Dirs []*Dir
	by   map[string]*Dir
}

// Dir is a directory of a home, and what lies in it.
type Dir struct {
	Path  []string
	Dirs  []*Dir
	Files []File
}

// File is a regular file. MTime is in nanoseconds since 1970.
type File struct {
	Name  string
	Size  int64
	MTime int64
}

var words = []string{
	"src", "lib", "doc", "test", "include", "build", "data", "old", "tmp", "papers", "mail", "photos", "music",
	"config", "main", "util", "net", "disk", "node", "index", "report", "notes", "draft", "fig", "plot", "run",
	"log", "out", "input", "result", "trace", "server", "client", "proto", "cache", "store", "image", "table",
}

var types = []string{".c", ".h", ".o", ".txt", ".tex", ".pdf", ".jpg", ".mp3", ".html", ".py", ".log", ".gz", ""}

// New makes a home of so many directories, 16 at least, and files. The wanted file's directory holds eight others of
// 70 MB together, as in the paper. What misleads lies in it too: a file of nearly the wanted size close to the wanted
// directory, and one of the wanted name and another size far from it.
func New(seed uint64, dirs, files int) *Home {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := &Home{by: map[string]*Dir{}}
	h.Dir()
	dest := h.Dir(WantedDir()...)
	h.Dir(sibling()...)
	for len(h.Dirs) < dirs {
		h.grow(rng)
	}
	h.fill(rng, files)
	for i := range int64(8) {
		dest.add(File{fmt.Sprint("tool", i), 8_000_000 + i*214_000, 1e17})
	}
	h.Dir("s", "y", "n").add(File{"dump", 12_030_000, 2e17})
	far := h.Dirs[len(h.Dirs)/2+rng.IntN(len(h.Dirs)/2)]
	far.add(File{WantedName, 10_000_000, 4e17})
	return h
}

// grow adds a directory somewhere.
func (h *Home) grow(rng *rand.Rand) {
	up := h.Dirs[rng.IntN(len(h.Dirs))]
	if len(up.Path) > 4+rng.IntN(8) {
		return
	}
	name := words[rng.IntN(len(words))]
	if rng.IntN(3) == 0 {
		name = fmt.Sprint(name, rng.IntN(100))
	}
	h.Dir(append(slices.Clone(up.Path), name)...)
}

// fill adds files all over the home. No two entries of a directory have one name.
func (h *Home) fill(rng *rand.Rand, files int) {
	type place struct {
		in   *Dir
		name string
	}
	taken := map[place]bool{}
	for _, d := range h.Dirs {
		for _, c := range d.Dirs {
			taken[place{d, c.Path[len(c.Path)-1]}] = true
		}
	}
	for files > 0 {
		d, f := h.Dirs[rng.IntN(len(h.Dirs))], randomFile(rng)
		if at := (place{d, f.Name}); !taken[at] {
			taken[at] = true
			d.Files = append(d.Files, f)
			files--
		}
	}
}

// add puts a file into a directory, in the place of one of the same name.
func (d *Dir) add(f File) {
	d.Files = append(slices.DeleteFunc(d.Files, func(g File) bool { return g.Name == f.Name }), f)
}

// randomFile has a size from a long-tailed distribution with a mean of some 170 KB.
func randomFile(rng *rand.Rand) File {
	size := int64(600 + 12_000*rng.ExpFloat64())
	for rng.IntN(4) == 0 {
		size = size * int64(2+rng.IntN(6))
	}
	name := words[rng.IntN(len(words))]
	if rng.IntN(2) == 0 {
		name = fmt.Sprint(name, rng.IntN(1000))
	}
	return File{name + types[rng.IntN(len(types))], min(size, 1<<31), rng.Int64N(1e17)}
}

// Dir returns the directory of that path, made with those above it if it is not there.
func (h *Home) Dir(path ...string) *Dir {
	key := strings.Join(path, "/")
	if d, ok := h.by[key]; ok {
		return d
	}
	d := &Dir{Path: path}
	h.by[key] = d
	h.Dirs = append(h.Dirs, d)
	if len(path) > 0 {
		up := h.Dir(path[:len(path)-1]...)
		up.Dirs = append(up.Dirs, d)
	}
	return d
}

func sibling() []string { return []string{"s", "y-old", "n", "c", "test"} }

// Row is one line of the paper's Table 3: where the useful file lies, and what dsync needed until it had hashed it.
type Row struct {
	Name    string
	In      []string
	Useful  File
	Similar int // percent of its content that is wanted
	// Share is of the home's directories that were listed, Hashed and Bytes are of files, the useful one included.
	Share  float64
	Hashed int
	Bytes  float64
}

// fewDirs is the share of rows 1 and 2: the paper's 1 of 37157 directories, "0%", as far as a search that starts from
// several directories can have it.
const fewDirs = 0.0005

// Table3 returns the nine rows.
func Table3() []Row {
	row := func(name string, in []string, file string, similar int, share float64, hashed int, mb float64) Row {
		useful := File{file, WantedSize, otherTime}
		switch {
		case similar < 100:
			useful.Size = 12_100_000
		case file == WantedName:
			useful.MTime = WantedTime
		}
		return Row{name, in, useful, similar, share, hashed, mb * 1e6}
	}
	dest, old := WantedDir(), sibling()
	return []Row{
		row("1", dest, "a.out", 100, fewDirs, 1, 12),
		row("2", dest, "a.out", 11, fewDirs, 1, 12.1),
		row("3", dest, "diff", 100, 373.0/Dirs, 1, 12),
		row("4", old, "a.out", 100, 879.0/Dirs, 2, 24.03),
		row("5", old, "a.out", 11, 879.0/Dirs, 2, 24.03),
		row("6", old, "diff", 100, 2225.0/Dirs, 2, 24.03),
		row("7", nil, "a.out", 100, 6038.0/Dirs, 3, 34.03),
		row("8", nil, "a.out", 11, 6038.0/Dirs, 3, 34.03),
		row("9", nil, "diff", 100, 1, 227, 173.8),
	}
}

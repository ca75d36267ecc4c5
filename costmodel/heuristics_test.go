package costmodel

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func dirs(path string) []uint64 { return NewPath(strings.Split(strings.Trim(path, "/"), "/"), "").dirs }

// "Intuitively, the source path /u/bob/src/dsync is more related to the candidate path /u/bob/src/junk
// than to /u/carol/src/junk, but the candidate path /u/carol/src/dsync is more likely to contain
// relevant files than either junk directory."
func TestCommonalityOrder(t *testing.T) {
	source := dirs("/u/bob/src/dsync")
	var got []float64
	for _, c := range []string{"/u/bob/src/dsync", "/u/carol/src/dsync", "/u/bob/src/junk", "/u/carol/src/junk"} {
		got = append(got, Commonality(source, dirs(c)))
	}
	for i := 1; i < len(got); i++ {
		if got[i] >= got[i-1] {
			t.Errorf("not descending: %v", got)
		}
	}
}

func randomDirs(rng *rand.Rand) []uint64 {
	d := make([]uint64, rng.IntN(8))
	for i := range d {
		d[i] = uint64(rng.IntN(5))
	}
	return d
}

func TestCommonalityProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b := randomDirs(rng), randomDirs(rng)
		p := Commonality(a, b)
		if p <= 0 || p > 1 || p != Commonality(b, a) {
			t.Fatalf("%v %v: %v, the other way %v", a, b, p, Commonality(b, a))
		}
		if (p == 1) != (len(a) == len(b) && commonEnd(a, b) == len(a)) {
			t.Fatalf("%v %v: %v", a, b, p)
		}
		// "a leftmost or middle match is assigned a ppc that decreases exponentially": with unlike ends, one
		// more directory below the match makes it less.
		below, beside := append(append([]uint64{}, a...), 100), append(append([]uint64{}, b...), 101)
		if q, r := Commonality(below, beside), Commonality(append(below, 102), beside); r >= q {
			t.Fatalf("%v %v: %v, deeper %v", below, beside, q, r)
		}
	}
}

// "We therefore assign their ppc as the actual match coefficient."
func TestCommonalityOfCommonEnds(t *testing.T) {
	if got := Commonality(dirs("/a/b/x/y/z"), dirs("/c/x/y/z")); got != 3.0/5 {
		t.Errorf("got %v, want 3/5", got)
	}
}

func TestPromise(t *testing.T) {
	wanted := dirs("/s/y/n/c/test")
	for _, tt := range []struct {
		dir  string
		want float64
	}{
		{"/s/y-old/n", hopDecay * hopDecay * 3 / 5}, // /s/y-old/n/c/test may follow
		{"/s/y-old/n/c", hopDecay * 3 / 5},
		{"/s/y-old", 0},
		{"/s/y-old/n/c/test", 0}, // nothing has to follow
	} {
		if got := Promise(wanted, dirs(tt.dir)); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: got %v, want %v", tt.dir, got, tt.want)
		}
	}
}

// A tree under a name that begins like the wanted one's promises more than other neighbours, at every
// level, and no less near the wanted directory.
func TestRenamedPromise(t *testing.T) {
	wanted := NewPath([]string{"home", "u", "proj-1.3", "src", "net"}, "")
	promise := func(path ...string) float64 {
		d := NewPath(path, "")
		return renamedPromise(wanted.dirs, wanted.bases, d.dirs, d.bases[len(d.bases)-1])
	}
	for _, name := range []string{"proj", "proj-1.2", "proj.old", "proj_copy", "proj (1)", "PROJ"} {
		if got := promise("home", "u", name); got <= Commonality(wanted.dirs, dirs("/home/u/other")) {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, path := range [][]string{{"home", "u", "project"}, {"home", "u", "proj-1.3"}, {"home", "v", "proj-1.2"}, {"proj-1.2"}} {
		if got := promise(path...); got != 0 {
			t.Errorf("%v: %v, want 0", path, got)
		}
	}
	if far, close := promise("home", "u", "proj"), promise("home", "u", "proj-1.3", "src", "net-old"); close <= far {
		t.Errorf("beside the wanted directory %v, above %v", close, far)
	}
}

// "An identical filename provides pfs = 1. A prefix or suffix match gives pfs = 0.7, a file type match
// sets pfs = 0.5, and no match sets pfs = 0.1."
func TestNameSimilarity(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want float64
	}{
		{"a.txt", "a.txt", 1},
		{"a.txt", "b.txt", 0.5},
		{"a.txt", "core", 0.1},
		{"report.doc", "report-final.doc", 0.7},
		{"old-report.doc", "report.doc", 0.7},
		{"report.doc", "report.doc~", 0.7},
		{"report.doc", "report.doc.bak", 0.7},
		{"report.doc", ".report.doc.Xy12z", 0.7},
		{"report.doc", "report (1).doc", 0.7},
		{"lib-1.2.so", "lib-1.3.so", 0.7},
		{"lib.so.9", "lib.so.10", 0.7},
		{"go1.26.6.linux-amd64.tar.gz", "go1.26.10.linux-amd64.tar.gz", 0.7},
		{"dump-2026-01-09.sql", "dump-2026-11-30.sql", 0.7},
		{"v1", "v22", 0.7},
		{"README", "readme", 0.7},
		{"1234", "99", 0.1},
		{"ab.c", "ax.h", 0.1},
		{"", "", 1},
		{"", "x", 0.1},
	} {
		a, b := NewName(tt.a), NewName(tt.b)
		if got := NameSimilarity(&a, &b); got != tt.want {
			t.Errorf("%q %q: got %v, want %v", tt.a, tt.b, got, tt.want)
		}
		if NameSimilarity(&a, &b) != NameSimilarity(&b, &a) {
			t.Errorf("%q %q: not symmetric", tt.a, tt.b)
		}
	}
}

// "it can contain at most a size_candidate/size_source fraction of the chunks from the source file"
func TestMaxChunks(t *testing.T) {
	for _, tt := range []struct {
		source, candidate int64
		want              float64
	}{{100, 50, 0.5}, {100, 100, 1}, {100, 1e9, 1}, {0, 5, 0}, {5, 0, 0}} {
		if got := maxChunks(tt.source, tt.candidate); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
}

// "an exact size match sets pss = 1. If the file size difference is within 10%, we set 0.5 <= pss <=
// 0.9 as a linear function of size difference; otherwise, pss = 0.1."
func TestSizeSimilarity(t *testing.T) {
	for candidate, want := range map[int64]float64{1000: 1, 1050: 0.7, 950: 0.7, 1100: 0.5, 900: 0.5, 1101: 0.1, 0: 0.1} {
		if got := sizeSimilarity(1000, candidate); math.Abs(got-want) > 1e-9 {
			t.Errorf("%d: got %v, want %v", candidate, got, want)
		}
	}
}

// "We therefore set ptm = 1 for an exact match, 0.9 <= ptm <= 1 for a fuzzy match within 10 seconds,
// and ptm = 0.7 otherwise."
func TestTimeMatch(t *testing.T) {
	for off, want := range map[int64]float64{0: 1, 5e9: 0.95, -10e9: 0.9, 10e9 + 1: 0.7, math.MaxInt64: 0.7} {
		if got := timeMatch(0, off); math.Abs(got-want) > 1e-9 {
			t.Errorf("%d: got %v, want %v", off, got, want)
		}
	}
}

func TestPairsAllocateNothing(t *testing.T) {
	s := SourceFile{Path: NewPath([]string{"home", "u", "src"}, "transport-1.2.go"), Size: 1000, MTime: 5}
	c := Candidate{Path: NewPath([]string{"home", "u", "old"}, "transport-1.3.go"), Size: 1010, MTime: 7}
	if n := testing.AllocsPerRun(100, func() { Probability(&s, &c) }); n != 0 {
		t.Errorf("Probability: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { NewName("transport-1.2.tar.gz") }); n != 0 {
		t.Errorf("NewName: %v allocations", n)
	}
}

// The probability never leaves 0 … 1, and a better factor never makes it less.
func FuzzProbability(f *testing.F) {
	f.Add("a.txt", "b.txt", int64(10), int64(11), int64(0), int64(5))
	f.Add("lib.so.9", "", int64(0), int64(-1), int64(math.MinInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, b string, sizeA, sizeB, timeA, timeB int64) {
		s := SourceFile{Path: NewPath([]string{a, "x"}, a), Size: sizeA, MTime: timeA}
		c := Candidate{Path: NewPath([]string{b, "x"}, b), Size: sizeB, MTime: timeB}
		p := Probability(&s, &c)
		if !(p >= 0 && p <= 1) {
			t.Fatalf("%v", p)
		}
		c.Path = s.Path
		if q := Probability(&s, &c); q < p {
			t.Fatalf("same path %v, other path %v", q, p)
		}
	})
}

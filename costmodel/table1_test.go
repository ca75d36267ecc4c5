package costmodel

import (
	"math"
	"testing"
	"time"
)

// "We assume the operation cost of STAT and CHUNK-HASH (cost for reading and hashing one chunk) to be
// 1 unit."
func unitCosts() *Costs {
	c := NewCosts()
	for d := range Device(maxDevices) {
		for _, r := range []Residency{Cold, Cached} {
			c.Calibrate(d, r, Rate{PerOp: 1}, Rate{PerUnit: 1.0 / (16 << 10)})
		}
	}
	return c
}

type table1 struct {
	*Planner
	a, b GroupID
	root DirID
	now  time.Time
}

// "The sender wants to transfer two 64 KB files, a.txt and b.txt, to a destination path on the
// receiver named /d/new."
func newTable1() *table1 {
	t := &table1{Planner: NewPlanner(Config{MinW: 1, MaxW: 1}, unitCosts()), now: time.Unix(1000, 0)}
	for i, name := range []string{"a.txt", "b.txt"} {
		s, _ := t.AddSource(SourceFile{Path: NewPath([]string{"d", "new"}, name), Size: 64 << 10, MTime: 1e18 * int64(i+1)})
		g := t.Group(s)
		t.Want(g, 4, 64<<10)
		if i == 0 {
			t.a = g
		} else {
			t.b = g
		}
	}
	t.root, _ = t.AddRoot([]string{"d", "new"}, 0)
	return t
}

func (tb *table1) next(t *testing.T, kind OpKind, cpc, tolerance float64) Op {
	t.Helper()
	op, ok := tb.Next(tb.now)
	if !ok || op.Kind != kind || math.Abs(op.CPC-cpc) > tolerance {
		t.Fatalf("got %s with CPC %.4f (%v), want %s with %.4f", op.Kind, op.CPC, ok, kind, cpc)
	}
	if !tb.Start(op) {
		t.Fatal("can't start", op)
	}
	return op
}

// The paper's Table 1: STAT /d/new 1.125; then HASH a.txt 0.741, STAT /d 2.533, HASH core 1142.9; a.txt
// is expected at 4, b.txt much later.
func TestTable1(t *testing.T) {
	tb := newTable1()
	stat := tb.next(t, OpStat, 1.125, 1e-6)
	// "The destination path has two files in it: a.txt, which is an exact copy of the file being sent;
	// and a 1 MB core file."
	tb.AddFile(tb.root, "a.txt", 64<<10, 1e18)
	tb.AddFile(tb.root, "core", 1<<20, 5e18)
	tb.Done(stat, Result{Seconds: 1, Units: 2})
	tb.AddRoot([]string{"d"}, 0)

	tb.Plan()
	// "because the probability of finding the chunks in a.txt during the first HASH operation is 1, the
	// ETA for chunks in a.txt is simply equal to the cost of that first operation."
	if got := tb.ETA(tb.a); math.Abs(got-4) > 1e-4 {
		t.Errorf("ETA(a) = %v, want 4", got)
	}
	if got := tb.ETA(tb.b); got < 10*tb.ETA(tb.a) {
		t.Errorf("ETA(b) = %v, not far above ETA(a)", got)
	}

	tb.next(t, OpHash, 0.741, 1e-3)
}

// The rows after the first of Table 1 are prices at one time, so nothing is started between.
func TestTable1Prices(t *testing.T) {
	tb := newTable1()
	a, _ := tb.AddFile(tb.root, "a.txt", 64<<10, 1e18)
	core, _ := tb.AddFile(tb.root, "core", 1<<20, 5e18)
	up, _ := tb.AddRoot([]string{"d"}, 0)
	for _, row := range []struct {
		kind OpKind
		id   uint32
		want float64
	}{
		{OpStat, uint32(tb.root), 1.125},
		{OpHash, uint32(a), 0.741},
		{OpStat, uint32(up), 2.533},
		{OpHash, uint32(core), 1142.9},
	} {
		if got := tb.cpc(row.kind, row.id, viewAll); math.Abs(got-row.want) > 1e-3*row.want {
			t.Errorf("%s: CPC %.4f, want %v", row.kind, got, row.want)
		}
	}
}

package result

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func run(peer string, round int, o Outcome, seconds float64) Result {
	return Result{Cell: "s/net=t1/peer=" + peer, Group: "s/net=t1", Peer: peer, Round: round, Outcome: o, Seconds: seconds, WireDown: int64(seconds * 100)}
}

func TestAppendAndRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.jsonl")
	if got, err := Read(name); err != nil || got != nil {
		t.Fatalf("a file that is not there: %v, %v", got, err)
	}
	for i := range 3 {
		if err := Append(name, run("a", i, OK, float64(i))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(name)
	if err != nil || len(got) != 3 || got[2].Seconds != 2 || got[0].V != Version {
		t.Fatalf("%+v, %v", got, err)
	}
	// A last line that was cut short is left out, one in the middle is an error.
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(name, text[:len(text)-20], 0o666)
	if got, err := Read(name); err != nil || len(got) != 2 {
		t.Errorf("cut short: %d results, %v", len(got), err)
	}
	os.WriteFile(name, append([]byte("{\n"), text...), 0o666)
	if _, err := Read(name); err == nil || !strings.Contains(err.Error(), ":1:") {
		t.Errorf("a broken first line: %v", err)
	}
	os.WriteFile(name, []byte(`{"v":9}`), 0o666)
	if _, err := Read(name); err == nil {
		t.Error("another version is read")
	}
}

func TestSummarize(t *testing.T) {
	s := Summarize([]Result{
		run("a", 1, OK, 5), run("b", 1, TimeBox, 60), run("a", 2, Failed, 0), run("a", 3, OK, 1), run("a", 4, OK, 2),
		run("c", 1, Gap, 0),
	})
	if len(s) != 3 {
		t.Fatalf("%d summaries", len(s))
	}
	a, b, c := s[0], s[1], s[2]
	if a.Outcome != OK || a.N != 3 || a.Runs != 4 || a.Seconds != 2 || a.Least != 1 || a.Most != 5 || a.WireDown != 200 || a.Middle.Round != 4 {
		t.Errorf("a: %+v", a)
	}
	if b.Outcome != TimeBox || b.Seconds != 60 || b.N != 1 {
		t.Errorf("b: %+v", b)
	}
	if c.Outcome != Gap || c.N != 0 {
		t.Errorf("c: %+v", c)
	}
}

func TestLateRunsCountOnlyWithoutOthers(t *testing.T) {
	late := run("a", 1, OK, 3)
	late.LateMax = 0.2
	hardly := run("a", 2, OK, 3)
	hardly.LateMax = 0.05
	if s := Summarize([]Result{late, run("a", 2, OK, 1)})[0]; s.Late || s.N != 1 || s.Seconds != 1 {
		t.Errorf("one late, one not: %+v", s)
	}
	if s := Summarize([]Result{late})[0]; !s.Late || s.N != 1 || s.Seconds != 3 {
		t.Errorf("all late: %+v", s)
	}
	if s := Summarize([]Result{hardly})[0]; s.Late {
		t.Errorf("a sixtieth is late: %+v", s)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 3: {3}, 2: {9, 2, 1}, 2.5: {4, 1, 2, 3}} {
		if got := Median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestWriteBenchmarks(t *testing.T) {
	var b strings.Builder
	if err := WriteBenchmarks(&b, []Result{run("a", 1, OK, 1.5), run("b", 1, TimeBox, 60)}); err != nil {
		t.Fatal(err)
	}
	want := "BenchmarkLab/s/net=t1/peer=a 1 1500000000 ns/op 150 down-B/op 0 up-B/op 0.000 cpu-s/op 0 peak-B 0 disk-read-B/op\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestPeersOrder(t *testing.T) {
	got := Peers([]Summary{{Peer: "rsync"}, {Peer: "dfetch-net"}, {Peer: "aria2"}, {Peer: "dfetch"}, {Peer: "rsync"}})
	if strings.Join(got, " ") != "dfetch dfetch-net aria2 rsync" {
		t.Errorf("got %v", got)
	}
}

func TestMissing(t *testing.T) {
	err := errors.Join(Missingf("%s is not installed", "x"))
	var m Missing
	if !errors.As(err, &m) || m.Reason != "x is not installed" {
		t.Errorf("got %v", err)
	}
}

func TestUsageAdd(t *testing.T) {
	u := Usage{CPU: 1, PeakBytes: 10, DiskRead: 5}
	u.Add(Usage{CPU: 2, PeakBytes: 7, DiskRead: 1})
	if u != (Usage{CPU: 3, PeakBytes: 10, DiskRead: 6}) {
		t.Errorf("got %+v", u)
	}
}

func TestHere(t *testing.T) {
	w := Here(t.TempDir())
	if w.CPUs < 1 || w.Kernel == "" || w.Machine == "" || w.Commit != "unknown" {
		t.Errorf("got %+v", w)
	}
}

// TestBadRunsCount: a run that was wrong makes its cell so, and one that met the time box counts with that.
func TestBadRunsCount(t *testing.T) {
	got := Summarize([]Result{
		run("a", 1, Wrong, 1), run("a", 2, OK, 2), run("b", 1, TimeBox, 60), run("b", 2, OK, 2), run("b", 3, TimeBox, 60), run("c", 1, OK, 1),
		run("c", 2, TimeBox, 60), run("c", 3, OK, 2),
	})
	if a := got[0]; a.Outcome != Wrong || a.N != 0 {
		t.Errorf("wrong once: %+v", a)
	}
	if b := got[1]; b.Outcome != TimeBox || b.N != 3 || b.Seconds != 60 {
		t.Errorf("stopped twice of three times: %+v", b)
	}
	if c := got[2]; c.Outcome != OK || c.N != 3 || c.Seconds != 2 || c.Most != 60 {
		t.Errorf("stopped once of three times: %+v", c)
	}
}

// TestTornLineGoes: what a crash left of a line does not spoil the next one.
func TestTornLineGoes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.jsonl")
	for range 2 {
		if err := Append(name, run("a", 1, OK, 1)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 40, len(text)/2 - 1, len(text) / 2} {
		if err := os.WriteFile(name, text[:len(text)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(Append(name, run("b", 1, OK, 1)), Append(name, run("c", 1, OK, 1))); err != nil {
			t.Fatal(err)
		}
		if list, err := Read(name); err != nil || len(list) != 3 || list[2].Peer != "c" {
			t.Errorf("cut by %d: %d results, %v", cut, len(list), err)
		}
	}
}

// TestLastBuildCounts: of several builds' runs those of the last one are summed up.
func TestLastBuildCounts(t *testing.T) {
	old, recent := run("a", 1, OK, 9), run("a", 1, OK, 2)
	old.Program, recent.Program = "old", "new"
	if s := Summarize([]Result{run("a", 1, OK, 8), old, recent})[0]; s.N != 1 || s.Seconds != 2 {
		t.Errorf("%+v", s)
	}
}

// TestCommitIsTheProgramsOwn: what is measured says of which commit it is, where it can.
func TestCommitIsTheProgramsOwn(t *testing.T) {
	program := func(text string) string {
		name := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(name, []byte("#!/bin/sh\necho '"+text+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, want := range map[string]string{
		program("dfetch (devel), commit 0123456789ab, go1.26.8 linux/amd64"): "0123456789ab",
		program("dfetch (devel)"): "here",
		"/does/not/exist":         "here",
	} {
		if got := (Where{Commit: "here"}).Of(name).Commit; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestFileSystem(t *testing.T) {
	const table = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:30 / /work/a rw shared:1 master:2 - xfs /dev/a rw
41 27 0:31 / /work/a rw - btrfs /dev/b rw
42 27 0:32 / /work/a\040b rw - tmpfs tmpfs rw
`
	for path, want := range map[string]string{
		"/": "ext4", "/work": "ext4", "/work/a": "btrfs", "/work/a/c/d": "btrfs", "/work/ab": "ext4", "/work/a b/c": "tmpfs", "/proc/1": "proc",
	} {
		if got := fileSystemOf(table, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if FileSystem("/proc/self") != "proc" || FileSystem(t.TempDir()) == "" || FileSystem("/does/not/exist") != "" {
		t.Errorf("/proc is on %q, this on %q", FileSystem("/proc/self"), FileSystem(t.TempDir()))
	}
}

// TestOldLinesStayAlike: what runs tell besides their program and setup does not part them.
func TestOldLinesStayAlike(t *testing.T) {
	old, recent := run("a", 1, OK, 1), run("a", 2, OK, 3)
	recent.Versions, recent.FileSystem = "a 1", "ext4"
	if !old.Alike(recent) || Summarize([]Result{old, recent})[0].N != 2 {
		t.Error("a run with versions is not alike one without")
	}
}

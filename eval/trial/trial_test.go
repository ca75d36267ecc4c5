package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dfetch/eval/dataset"
	"dfetch/eval/netlab"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var networks = map[string]netlab.Settings{"lan": {}}

func scenario(t *testing.T, name, peers string, repeat int, more string) *scenarios.Scenario {
	t.Helper()
	text := fmt.Sprintf("title = %s\nsuites = x\ndata = file\nsize = 10KB\nstate = empty right\nnet = lan\npeer = %s\nrepeat = %d\n%s", name, peers, repeat, more)
	s, err := scenarios.Parse(name, text, networks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keys(tasks []task) (out []string) {
	for _, t := range tasks {
		out = append(out, t.key())
	}
	return out
}

func TestOrder(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync curl dfetch", 2, ""), scenario(t, "b", "rsync dfetch", 1, "")}
	tasks := order(list, 1, 0)
	if len(tasks) != 2*2*3+2*2 {
		t.Fatalf("%d tasks", len(tasks))
	}
	got := keys(tasks)
	if !slices.Equal(got, keys(order(list, 1, 0))) {
		t.Error("the same seed gives another order")
	}
	if slices.Equal(got, keys(order(list, 2, 0))) {
		t.Error("another seed gives the same order")
	}
	if len(order(list, 1, 1)) != 10 {
		t.Error("one round is not one round")
	}
	shared := append(list, scenario(t, "c", "rsync dfetch", 2, "share = 4"))
	if tasks := order(shared, 1, 1); tasks[0].cell.Scenario.Name != "c" || tasks[3].cell.Scenario.Name != "c" {
		t.Errorf("cells that share the machine are not the first: %v", keys(tasks))
	}
	// Rounds follow one another, and the peers of a group do.
	seen := map[string]bool{}
	for i, task := range tasks {
		if i > 0 && task.round < tasks[i-1].round {
			t.Errorf("round %d after round %d", task.round, tasks[i-1].round)
		}
		group := fmt.Sprint(task.cell.Group(), task.round)
		if i > 0 && seen[group] && fmt.Sprint(tasks[i-1].cell.Group(), tasks[i-1].round) != group {
			t.Errorf("%s is torn apart", group)
		}
		seen[group] = true
	}
}

func TestFits(t *testing.T) {
	one := task{scenario(t, "a", "rsync", 1, "box = 60s").Groups()[0][0], 1}
	for _, tt := range []struct {
		budget, spent time.Duration
		want          bool
	}{
		{0, time.Hour, true}, {time.Minute, 0, true}, {time.Minute, time.Second, false}, {2 * time.Minute, time.Minute, true},
	} {
		if got := (Config{Budget: tt.budget}).fits(one, tt.spent); got != tt.want {
			t.Errorf("after %v of %v: %v", tt.spent, tt.budget, got)
		}
	}
}

func TestWeight(t *testing.T) {
	for share, want := range map[string]int64{"1": machine, "4": machine / 4, "16": machine / 16} {
		one := task{cell: scenario(t, "a", "rsync", 1, "share = "+share).Groups()[0][0]}
		if one.weight() != want {
			t.Errorf("share %s: %d", share, one.weight())
		}
	}
}

func bench(t *testing.T) *Bench {
	t.Helper()
	return &Bench{Networks: networks, Store: &dataset.Store{Dir: t.TempDir()}, Work: t.TempDir(), Dfetch: "/does/not/exist", Lab: "/does/not/exist"}
}

// Cells run over the loopback, gaps are named and tried again, and what is done
// is not run again.
func TestRunResumes(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync dfetch", 2, "topology = loopback\nbox = 30s")}
	list[0].Peers = append(list[0].Peers, "unknown") // which no file can name
	file := filepath.Join(t.TempDir(), "r.jsonl")
	var notes []string
	cfg := Config{Bench: bench(t), File: file, Note: func(line string) { notes = append(notes, line) }}
	if left, err := Run(t.Context(), cfg, list); err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
	results, err := result.Read(file)
	if err != nil || len(results) != 2*3*2 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for _, r := range results {
		switch {
		case r.Peer == "unknown" && (r.Outcome != result.Gap || !strings.Contains(r.Reason, "unknown")),
			r.Peer == "dfetch" && (r.Outcome != result.Gap || !strings.Contains(r.Reason, "not installed")):
			t.Errorf("%s: %s %s", r.Cell, r.Outcome, r.Reason)
		case r.Peer == "rsync" && r.Outcome == result.Gap:
			t.Skip(r.Reason)
		case r.Peer == "rsync" && (r.Outcome != result.OK || r.Seconds <= 0 || r.Bytes != 10000 || r.WireDown != -1 || !strings.HasPrefix(r.Versions, "rsync ") || r.FileSystem == ""):
			t.Errorf("%+v", r)
		}
	}
	notes = nil
	if _, err := Run(t.Context(), cfg, list); err != nil || !strings.HasPrefix(notes[0], "8 runs") {
		t.Errorf("second time: %v, %v", notes, err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Bench.Work, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("runs left %v, %v", left, err)
	}
}

// A run in which the emulator was late is tried again, but not for ever.
func TestLateRunsAreTriedAgain(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync", 1, "")}
	cfg := Config{Bench: bench(t), File: filepath.Join(t.TempDir(), "r")}
	cell := list[0].Groups()[0][0]
	for n := range lateTries + 1 {
		tasks, err := cfg.pending(list)
		if want := 2 - n/lateTries; err != nil || len(tasks) != want {
			t.Errorf("after %d late runs %d are left to do, want %d; %v", n, len(tasks), want, err)
		}
		r := result.Result{Cell: cell.Name(), Round: 1, Outcome: result.OK, Seconds: 1, LateMax: 0.1}
		r.Program, r.Setup = cfg.Bench.identity(cell)
		if err := result.Append(cfg.File, r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBudgetLeavesRunsOver(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync", 1, "topology = loopback\nbox = 30s")}
	cfg := Config{Bench: bench(t), File: filepath.Join(t.TempDir(), "r"), Budget: time.Second, Note: func(string) {}}
	if left, err := Run(t.Context(), cfg, list); left != 2 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
}

func TestAnInterruptedRunIsNoResult(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	list := []*scenarios.Scenario{scenario(t, "a", "rsync", 3, "topology = loopback")}
	file := filepath.Join(t.TempDir(), "r")
	cfg := Config{Bench: bench(t), File: file, Note: func(string) { cancel() }} // at the first line
	if _, err := Run(ctx, cfg, list); err == nil {
		t.Error("no error")
	}
	if results, err := result.Read(file); err != nil || len(results) != 0 {
		t.Errorf("%v, %v", results, err)
	}
}

func TestRecord(t *testing.T) {
	ends := []finish{
		{took: 2 * time.Second, usage: result.Usage{CPU: 1, PeakBytes: 5}},
		{took: 4 * time.Second, usage: result.Usage{CPU: 2, PeakBytes: 3}},
	}
	r := result.Result{Outcome: result.OK}
	record(&r, ends, false, time.Minute)
	if r.Outcome != result.OK || r.Seconds != 4 || r.First != 2 || r.Mean != 3 || r.Receiver.CPU != 3 || r.Receiver.PeakBytes != 5 {
		t.Errorf("%+v", r)
	}
	ends[1].err = fmt.Errorf("killed")
	failed, boxed := result.Result{Outcome: result.OK}, result.Result{Outcome: result.OK}
	record(&failed, ends, false, time.Minute)
	record(&boxed, ends, true, time.Minute)
	if failed.Outcome != result.Failed || failed.Reason != "killed" || boxed.Outcome != result.TimeBox || boxed.Seconds != 60 {
		t.Errorf("%+v, %+v", failed, boxed)
	}
}

func TestNothingToFind(t *testing.T) {
	generated, pair := &scenarios.Scenario{Data: "file"}, &scenarios.Scenario{Data: "npm:a@1..2"}
	for _, tt := range []struct {
		cell scenarios.Cell
		want bool
	}{
		{scenarios.Cell{Scenario: generated, State: "empty"}, true},
		{scenarios.Cell{Scenario: generated, State: "sibling"}, false},
		{scenarios.Cell{Scenario: generated, State: "similar-90+empty"}, false},
		{scenarios.Cell{Scenario: pair, State: "empty"}, false},
	} {
		if got := nothingToFind(tt.cell); got != tt.want {
			t.Errorf("%s of %s: %v", tt.cell.State, tt.cell.Scenario.Data, got)
		}
	}
}

// TestFreshDisk: a run has a file system of its own where the scenario says so, and nothing of it stays.
func TestFreshDisk(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync", 1, "topology = loopback\nbox = 30s\ndisk = fresh")}
	b := bench(t)
	set, err := b.Store.Source(t.Context(), list[0].Data, list[0].Sizes[0])
	if err != nil {
		t.Fatal(err)
	}
	dir, clear, err := b.folder(list[0].Groups()[0][0], set)
	if errors.As(err, new(result.Missing)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var own, shared unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &own), unix.Stat(b.Work, &shared)); err != nil || own.Dev == shared.Dev {
		t.Error("the run lies with all others", err)
	}
	if err := clear(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r.jsonl")
	if left, err := Run(t.Context(), Config{Bench: b, File: file, Note: func(string) {}}, list); err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
	results, err := result.Read(file)
	if err != nil || len(results) == 0 || results[0].Outcome != result.OK && results[0].Outcome != result.Gap {
		t.Errorf("%+v, %v", results, err)
	}
	if left, err := os.ReadDir(b.Work); err != nil || len(left) != 0 {
		t.Errorf("runs left %v, %v", left, err)
	}
}

// TestOtherBuildsRunAgain: what another dfetch or another network gave is not done.
func TestOtherBuildsRunAgain(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync dfetch", 1, "")}
	file := filepath.Join(t.TempDir(), "r.jsonl")
	b := bench(t)
	b.Program = "one"
	for _, cell := range slices.Concat(list[0].Groups()...) {
		r := result.Result{Cell: cell.Name(), Peer: cell.Peer, Round: 1, Outcome: result.OK, Seconds: 1}
		r.Program, r.Setup = b.identity(cell)
		if err := result.Append(file, r); err != nil {
			t.Fatal(err)
		}
	}
	pending := func() int {
		tasks, err := (Config{Bench: b, File: file}).pending(list)
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	if n := pending(); n != 0 {
		t.Errorf("%d runs to do again", n)
	}
	b.Program = "two"
	if n := pending(); n != 2 {
		t.Errorf("another build: %d runs, want dfetch's 2", n)
	}
	b.Networks = map[string]netlab.Settings{"lan": netlab.Both(netlab.Shape{Rate: 1e6})}
	if n := pending(); n != 4 {
		t.Errorf("another network: %d runs, want all 4", n)
	}
}

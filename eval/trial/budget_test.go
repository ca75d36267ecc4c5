package trial

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// TestPublishingIsEstimated: by the cell's own runs, or else by the peer's slowest.
func TestPublishingIsEstimated(t *testing.T) {
	cells := scenario(t, "a", "rsync zsync", 1, "").Groups()[0]
	rsync, zsync := cells[0], cells[1]
	zsync.Size.Bytes = 200e6
	p := newPublishing([]result.Result{
		{Cell: rsync.Name(), Peer: "rsync", Bytes: 10000, Publishing: 2},
		{Cell: rsync.Name(), Peer: "rsync", Bytes: 10000, Publishing: 1},
		{Cell: "other", Peer: "zsync", Bytes: 100e6, Publishing: 5},
		{Cell: "small", Peer: "zsync", Bytes: 1, Publishing: 1},
	})
	huge := zsync
	huge.Size.Bytes, huge.State = 1e12, "right"
	for _, tt := range []struct {
		name string
		cell scenarios.Cell
		want time.Duration
	}{{"a cell that ran", rsync, 2 * time.Second}, {"a peer that ran", zsync, 10 * time.Second}, {"a huge one", huge, publishBox}} {
		if got := p.of(tt.cell); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	p.add(result.Result{Cell: zsync.Name(), Peer: "zsync", Bytes: 200e6, Publishing: 3})
	if got := p.of(zsync); got != 3*time.Second {
		t.Errorf("after its first run: %v", got)
	}
}

// TestBudgetCountsPublishing: a run whose publisher took too long before does not begin, though its box would fit.
func TestBudgetCountsPublishing(t *testing.T) {
	list := []*scenarios.Scenario{scenario(t, "a", "rsync", 2, "topology = loopback\nbox = 30s")}
	b := bench(t)
	file := filepath.Join(t.TempDir(), "r")
	for _, group := range list[0].Groups() {
		r := result.Result{Cell: group[0].Name(), Peer: "rsync", Round: 1, Outcome: result.OK, Seconds: 1, Publishing: 300}
		r.Program, r.Setup = b.identity(group[0])
		if err := result.Append(file, r); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Bench: b, File: file, Budget: time.Minute, Note: func(string) {}}
	if left, err := Run(t.Context(), cfg, list); left != 2 || err != nil {
		t.Errorf("%d left, %v; want 2", left, err)
	}
}

// TestBudgetStopsPublishing: a publisher that takes longer than anyone knew ends with the budget, without a result.
func TestBudgetStopsPublishing(t *testing.T) {
	b, programs := bench(t), t.TempDir()
	b.Lab = filepath.Join(programs, "lab")
	for _, name := range []string{"lab", "curl"} { // the server never listens, so the client never runs
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	list := []*scenarios.Scenario{scenario(t, "a", "curl", 1, "topology = loopback\nbox = 100ms")}
	list[0].States = list[0].States[:1]
	var notes []string
	cfg := Config{Bench: b, File: filepath.Join(t.TempDir(), "r"), Budget: 5 * time.Second, Note: func(n string) { notes = append(notes, n) }}
	begun := time.Now()
	left, err := Run(t.Context(), cfg, list)
	results, readErr := result.Read(cfg.File)
	if left != 1 || errors.Join(err, readErr) != nil || len(results) != 0 || time.Since(begun) > 30*time.Second {
		t.Errorf("%d left, %v, results %+v, after %v", left, err, results, time.Since(begun))
	}
	if !strings.Contains(strings.Join(notes, "\n"), "the budget has ended: a/") {
		t.Errorf("notes %q", notes)
	}
}

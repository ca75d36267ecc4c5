package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dfetch/eval/netlab"
	"dfetch/eval/report"
	"dfetch/eval/result"
)

// build compiles a command of this module.
func build(t *testing.T, dir, name, pkg string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// The smoke suite runs with every program that is installed, on emulated links,
// and gives a report.
func TestSmoke(t *testing.T) {
	if err := netlab.Supported(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	lab, dfetch := build(t, dir, "lab", "dfetch/eval/cmd/lab"), build(t, dir, "dfetch", "dfetch/cmd/dfetch")
	file := filepath.Join(dir, "smoke.jsonl")
	cmd := exec.CommandContext(t.Context(), lab, "run", "-suite", "smoke", "-dfetch", dfetch, "-work", filepath.Join(dir, "work"), "-o", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("lab run: %v\n%s", err, out)
	}
	results, err := result.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 12 {
		t.Errorf("%d results, want 12", len(results))
	}
	for _, r := range results {
		switch {
		case r.Outcome == result.Gap && r.Peer != "dfetch":
			t.Logf("%s: %s", r.Cell, r.Reason)
		case r.Outcome != result.OK:
			t.Errorf("%s: %s: %s", r.Cell, r.Outcome, r.Reason)
		case strings.Contains(r.Cell, "state=empty") && r.WireDown < r.Bytes:
			t.Errorf("%s: %d bytes on the wire for %d", r.Cell, r.WireDown, r.Bytes)
		case strings.Contains(r.Cell, "state=empty") && r.Seconds < float64(r.Bytes)*8/1.544e6:
			t.Errorf("%s: %v s are less than the link needs", r.Cell, r.Seconds)
		}
	}
	markdown, page := filepath.Join(dir, "rep", "r.md"), filepath.Join(dir, "rep", "r.html")
	if err := dispatch(t.Context(), []string{"report", "-md", markdown, "-html", page, file}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{markdown, page, filepath.Join(dir, "rep", "figures", "smoke.svg"), filepath.Join(dir, "rep", "figures", "regret.svg")} {
		if info, err := os.Stat(name); err != nil || info.Size() < 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		nil, {"odd"}, {"run", "extra"}, {"run", "-suite", "odd"}, {"run", "-scale", "0"}, {"run", "-nosuchflag"},
		{"report"}, {"report", "/does/not/exist"}, {"bench"}, {"goals"}, {"httpd"}, {"tracker"},
		{"run", "-suite", "e2e-recipe", "-dfetch", "/does/not/exist", "-work", t.TempDir()},
	} {
		if err := dispatch(t.Context(), args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestSelected(t *testing.T) {
	f := runFlags{suite: "fig2", peers: "rsync,dfetch", only: "state=empty", scale: 0.5}
	list, err := f.selected()
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	n := 0
	for _, g := range list[0].Groups() {
		for _, c := range g {
			if n++; c.State != "empty" || c.Size.Bytes != 25e6 {
				t.Errorf("cell %s", c.Name())
			}
		}
	}
	if n != 2 {
		t.Errorf("%d cells", n)
	}
	if _, err := program(filepath.Join(t.TempDir(), "x")); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestOneLabAtATime: a second lab is kept out of the folder of runs, and what killed runs left goes, no more.
func TestOneLabAtATime(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"run-1/x", "disk-2/x", "mine/x"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := claim(folder)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := claim(folder); err == nil || !strings.Contains(err.Error(), "another lab") {
		t.Errorf("a second lab: %v", err)
	}
	unlock()
	unlock, err = claim(folder)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestMistypedSelection: what selects nothing is an error.
func TestMistypedSelection(t *testing.T) {
	for _, args := range [][]string{
		{"-peers", "rsnyc"}, {"-only", "state=emty"}, {"-rounds", "-1"}, {"-budget", "-1s"}, {"-scale", "NaN"}, {"-scale", "Inf"}, {"-suite", "smok"},
	} {
		var f runFlags
		err := f.parse(args)
		if err == nil {
			_, err = f.selected()
		}
		if err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// TestFiguresOfOthersStay: a report removes what earlier ones drew, no more.
func TestFiguresOfOthersStay(t *testing.T) {
	dir := t.TempDir()
	figures := filepath.Join(dir, figureDir)
	if err := os.Mkdir(figures, 0o755); err != nil {
		t.Fatal(err)
	}
	r := report.New([]result.Result{{Cell: "s/net=t1/peer=dfetch", Group: "s/net=t1", Peer: "dfetch", Outcome: result.OK, Seconds: 1}}, nil)
	figure := r.Sections[0].Figures[0].SVG
	for name, text := range map[string]string{"old.svg": figure, "mine.svg": "<svg></svg>", "mine.txt": "text"} {
		if err := os.WriteFile(filepath.Join(figures, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeMarkdown(r, filepath.Join(dir, "r.md")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"old.svg": false, "mine.svg": true, "mine.txt": true} {
		if _, err := os.Stat(filepath.Join(figures, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

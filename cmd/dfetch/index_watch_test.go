package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfetch/diskscan"
	"dfetch/diskscan/watch"
)

// runIndex runs a "dfetch index" command until it ends.
func runIndex(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	cmd := newRootCmd()
	cmd.SetArgs(append([]string{"index"}, args...))
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

// oldFile writes a file that has not changed for long.
func oldFile(t *testing.T, path string) {
	t.Helper()
	then := time.Unix(1_500_000_000, 0)
	if err := errors.Join(os.WriteFile(path, []byte("0123456789"), 0o600), os.Chtimes(path, then, then)); err != nil {
		t.Fatal(err)
	}
}

// wantLine waits for the next line.
func wantLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("said %q (%v), want %q", lines.Text(), lines.Err(), want)
	}
}

// What changes is read while the command runs, the index is free in between, and ending it is no error.
func TestIndexWatch(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	oldFile(t, filepath.Join(dir, "a"))
	if err := runIndex(t.Context(), io.Discard, io.Discard, "add", dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	var stderr bytes.Buffer
	go func() {
		err := runIndex(ctx, w, &stderr, "update", "--watch")
		ended <- errors.Join(err, w.Close())
	}()
	lines := bufio.NewScanner(r)
	wantLine(t, lines, "1 files: 1 as they were, 0 read (0 B), 0 gone or changed")
	oldFile(t, filepath.Join(dir, "b"))
	wantLine(t, lines, "2 files: 1 as they were, 1 read (10 B), 0 gone or changed")
	cancel()
	if err := <-ended; err != nil || stderr.Len() > 0 {
		t.Errorf("%v, said %q", err, &stderr)
	}
	var stats strings.Builder
	if err := runIndex(t.Context(), &stats, io.Discard, "stats"); err != nil || !strings.Contains(stats.String(), "files       2\n") {
		t.Errorf("%s, %v", &stats, err)
	}
}

func TestIndexWatchNeedsDirectories(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	err := runIndex(t.Context(), io.Discard, io.Discard, "update", "--watch")
	if codeOf(err) != exitSelection || !strings.Contains(err.Error(), "nothing to watch") {
		t.Errorf("%v", err)
	}
	if err := runIndex(t.Context(), io.Discard, io.Discard, "update", "--watch", t.TempDir()); codeOf(err) != exitSelection {
		t.Errorf("one that was not added: %v", err)
	}
}

// A trouble that lasts is said once, and again if it comes back.
func TestIndexWatchSaysOnce(t *testing.T) {
	cmd := newRootCmd()
	var stderr strings.Builder
	cmd.SetErr(&stderr)
	w := &indexWatch{cmd: cmd, bar: &line{}}
	gone := diskscan.Refusal{Path: "/gone", Err: errors.New("not there")}
	for _, p := range []watch.Pass{
		{Stats: diskscan.UpdateStats{Left: 1, Refused: []diskscan.Refusal{gone}}}, {}, {Stats: diskscan.UpdateStats{Left: 2}},
		{Stats: diskscan.UpdateStats{Errors: 1}}, {All: true}, {Stats: diskscan.UpdateStats{Left: 3}},
	} {
		w.problems(&p)
	}
	for what, want := range map[string]int{"1 files are not": 1, "2 files are not": 0, "3 files are not": 1, "/gone: not there": 1, "1 entries": 1} {
		if got := strings.Count(stderr.String(), what); got != want {
			t.Errorf("%q is said %d times, want %d: %s", what, got, want, &stderr)
		}
	}
	stderr.Reset()
	w.trouble(errors.New("broken"))
	w.trouble(errors.New("broken"))
	if want := "dfetch: broken\ndfetch: trying again each minute\n"; stderr.String() != want {
		t.Errorf("said %q, want %q", &stderr, want)
	}
	stderr.Reset()
	locked := fmt.Errorf("index: %w", diskscan.ErrLocked)
	for _, err := range []error{locked, locked, nil, locked} {
		w.once("locked", err)
	}
	if want := strings.Repeat("dfetch: "+locked.Error()+"\n", 2); stderr.String() != want {
		t.Errorf("said %q, want %q", &stderr, want)
	}
}

// While another process has the index, the pass is put off.
func TestIndexWatchFindsItLocked(t *testing.T) {
	cfg := diskscan.IndexConfig{Dir: t.TempDir(), Wait: true}
	first := diskscan.OpenIndex(cfg)
	cmd := newRootCmd()
	var stderr strings.Builder
	cmd.SetErr(&stderr)
	w := &indexWatch{cmd: cmd, bar: &line{}, cfg: cfg}
	for range 2 {
		if _, err := w.open(); !errors.Is(err, diskscan.ErrLocked) {
			t.Errorf("opened: %v", err)
		}
	}
	if said := stderr.String(); strings.Count(said, "waiting") != 1 {
		t.Errorf("said %q, want once that it waits", said)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	x, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}

package trial

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

func TestRestOf(t *testing.T) {
	for _, tt := range []struct {
		limit   int64
		percent int
		want    int64
	}{{70e6, 90, 7e6}, {70e6, 0, 70e6}, {70e6, 100, 4096}} {
		if got := restOf(tt.limit, tt.percent); got != tt.want {
			t.Errorf("%d less %d %%: %d, want %d", tt.limit, tt.percent, got, tt.want)
		}
	}
}

// rsync reads the old file, which is not cached: under a limit it can't be faster than that.
func TestDiskLimitHoldsReceiversBack(t *testing.T) {
	s := scenario(t, "a", "rsync", 1, "topology = loopback\nbox = 60s\ncache = cold\ndisk-limit = 4MB")
	s.States, s.Sizes = []string{"similar-99"}, []scenarios.Size{{Bytes: 6e6}}
	r := bench(t).Run(t.Context(), s.Groups()[0][0], 1)
	if r.Outcome == result.Gap {
		t.Skip(r.Reason)
	}
	if r.Outcome != result.OK || r.Seconds < 1 {
		t.Errorf("6 MB at 4 MB/s in %.2f s: %s %s", r.Seconds, r.Outcome, r.Reason)
	}
}

func TestCPULoadStartsLaterAndEnds(t *testing.T) {
	dir := t.TempDir()
	burner := filepath.Join(dir, "burner")
	if err := os.WriteFile(burner, []byte("#!/bin/sh\necho \"$@\" > \"$0.args\"\nexec sleep 100\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := scenario(t, "a", "rsync", 1, "cpu-load = 2x50\ncpu-nice = 5\nload-after = 1ms\nbox = 9s")
	b := bench(t)
	b.Lab = burner
	l, err := b.newLoads(s.Groups()[0][0], dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	l.start(ctx)
	var args []byte
	for len(args) == 0 && ctx.Err() == nil {
		args, _ = os.ReadFile(burner + ".args")
	}
	cancel()
	if err := l.close(); err != nil || strings.TrimSpace(string(args)) != "burn -workers=2 -duty=0.5 -for=9s" {
		t.Errorf("%q, %v", args, err)
	}
}

func TestALoadThatFailsIsAnError(t *testing.T) {
	s := scenario(t, "a", "rsync", 1, "cpu-load = 1x50")
	l, err := bench(t).newLoads(s.Groups()[0][0], t.TempDir()) // its burner does not exist
	if err != nil {
		t.Fatal(err)
	}
	l.start(t.Context())
	if err := l.close(); err == nil {
		t.Error("a load that did not run is no error")
	}
}

package tree

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"dfetch/recipe"
)

// TestClockJumps: a clock that goes forth and back by hours between any two looks at it costs nothing: neither
// what is staged nor the right to go on with what a later time has left.
func TestClockJumps(t *testing.T) {
	w := world{file("a", strings.Repeat("a", 3000), 0o644), file("b", strings.Repeat("b", 3000), 0o644)}
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		cfg := w.config(t.TempDir())
		now, step := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Hour
		clock := make(chan time.Time)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go func() {
			for {
				select {
				case clock <- now:
				case <-ctx.Done():
					return
				}
				now, step = now.Add(step), -2*step/max(1, step.Abs()/(8*time.Hour))
			}
		}()
		cfg.Fsync, cfg.Now, cfg.eager = mode, func() time.Time { return <-clock }, true
		tr := mustOpen(t, cfg)
		err := w.walk(ctx, func(it recipe.Item) error {
			f, err := tr.Plan(it)
			if f != nil {
				err = errors.Join(f.Write(0, []byte(w[it.Number-1].data[:1000])), tr.Flush(ctx))
			}
			return err
		})
		if err := errors.Join(err, tr.Abort()); err != nil {
			t.Fatal(err)
		}
		cfg.Now = func() time.Time { return time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) } // long before all that
		tr = mustOpen(t, cfg)
		err = w.walk(ctx, func(it recipe.Item) error {
			f, err := tr.Plan(it)
			if f == nil || err != nil {
				return err
			}
			if !f.Holds(0, 1000) {
				t.Errorf("mode %v: %s has %v", mode, it.Path, f.Have())
			}
			return f.Write(1000, []byte(w[it.Number-1].data[1000:]))
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Finish(ctx); err != nil {
			t.Fatal(err)
		}
		w.check(t, cfg.Dest)
		stop()
	}
}

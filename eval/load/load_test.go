package load

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCycleKeepsItsShare(t *testing.T) {
	for _, piece := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 2500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c := Cycle{Duty: 0.3, Period: time.Second, For: 100 * time.Second}
			start := time.Now()
			busy, err := c.run(t.Context(), func() error {
				<-time.After(piece)
				return nil
			})
			took := time.Since(start)
			if err != nil || took < c.For || took > c.For+piece {
				t.Errorf("pieces of %v: took %v, %v", piece, took, err)
			}
			if share := busy.Seconds() / took.Seconds(); math.Abs(share-0.3) > 0.03 {
				t.Errorf("pieces of %v: busy %.3f of the time, want 0.3", piece, share)
			}
		})
	}
}

func TestCycleRestsWithinThePeriod(t *testing.T) {
	c := Cycle{Duty: 0.25, Period: time.Second, For: time.Hour}
	for _, x := range []struct{ elapsed, busy, want time.Duration }{
		{0, 0, 0},
		{200, 200, 0},
		{250, 250, 750},
		{1000, 250, 0},
		{1100, 700, 900}, // overran: period 1's share is used up
		{1000, 1000, 3000},
	} {
		if got := c.rest(x.elapsed*time.Millisecond, x.busy*time.Millisecond); got != x.want*time.Millisecond {
			t.Errorf("busy %d of %d ms: rests %v, want %d ms", x.busy, x.elapsed, got, x.want)
		}
	}
}

func TestCycleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		Cycle{Duty: 0.5, Period: time.Second, For: time.Hour}.run(ctx, func() error {
			<-time.After(100 * time.Millisecond)
			return nil
		})
		if took := time.Since(start); took > 1600*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestDiskStopsAtItsLimitAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	const limit = 5<<20 + 123
	r, err := Disk{Cycle: Cycle{For: 20 * time.Second}, Dir: dir, FileBytes: 2<<20 + 7, MaxBytes: limit}.Run(t.Context())
	if err != nil || r.Bytes != limit || r.Busy <= 0 || r.Took >= 20*time.Second {
		t.Errorf("%+v, %v", r, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestDiskNamesWhatFails(t *testing.T) {
	limited := Cycle{For: time.Second}
	if _, err := (Disk{Cycle: limited, Dir: "/nonexistent"}).Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	for _, d := range []Disk{{}, {Cycle: limited, MaxBytes: -1}, {Cycle: Cycle{Duty: 2, For: 1}}, {Cycle: Cycle{Period: -1, For: 1}}} {
		if _, err := d.Run(t.Context()); err == nil {
			t.Errorf("%+v ran", d)
		}
	}
}

func TestCPUIsBusyByItsDuty(t *testing.T) {
	c := CPU{Cycle: Cycle{Duty: 0.5, Period: 50 * time.Millisecond, For: 300 * time.Millisecond}, Workers: 1}
	var seen []time.Duration
	right := false
	for !right && len(seen) < 6 { // a busy machine takes the processor away at random
		busy, err := c.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, busy)
		right = busy >= 75*time.Millisecond && busy <= 225*time.Millisecond
	}
	if !right {
		t.Errorf("busy %v of 300ms at a duty of 0.5", seen)
	}
	if _, err := (CPU{Cycle: c.Cycle, Workers: -1}).Run(t.Context()); err == nil {
		t.Error("-1 workers ran")
	}
}

// Package load makes a machine worse while something is measured on it: a disk
// writer and a CPU burner, each with a duty cycle, and a limit on what processes
// get of a disk (throttle.go). All of it is bounded, and is gone when its time or
// its owner is.
//
// Time is cut into periods. In each period the load (1) works for Duty of the
// period in small pieces (a block written, a millisecond of arithmetic), (2)
// rests until the next period starts. A piece that overruns, such as a sync on a
// slow disk, takes its time from the next periods' work, so that the share holds
// over the whole run.
//
// What it does not do: it takes no exact share of a device. On a loaded disk
// "busy" is the time in which a write or a sync was under way.
package load

import (
	"context"
	"fmt"
	"time"
)

const defaultPeriod = time.Second

// Cycle is a duty cycle with an end.
type Cycle struct {
	// Duty is the share of time (0..1] to be busy. Zero means 1.
	Duty float64
	// Period is how long one round of work and rest takes. Zero means 1 s.
	Period time.Duration
	// For ends the load after this time. It must be positive: no load outlives
	// its purpose.
	For time.Duration
}

// Validate says which field makes no sense.
func (c Cycle) Validate() error {
	if !(c.Duty >= 0 && c.Duty <= 1) {
		return fmt.Errorf("load: duty %g is not within 0..1", c.Duty)
	}
	if c.Period < 0 {
		return fmt.Errorf("load: period %v is negative", c.Period)
	}
	if c.For <= 0 {
		return fmt.Errorf("load: a load needs a time limit, not %v", c.For)
	}
	return nil
}

func (c Cycle) withDefaults() Cycle {
	if c.Duty == 0 {
		c.Duty = 1
	}
	if c.Period == 0 {
		c.Period = defaultPeriod
	}
	return c
}

// rest tells how long to rest when the load has been busy so long by elapsed,
// zero while there is work to do in this period.
func (c Cycle) rest(elapsed, busy time.Duration) time.Duration {
	period := elapsed / c.Period
	share := max(1, time.Duration(float64(c.Period)*c.Duty))
	if busy < (period+1)*share {
		return 0
	}
	// Work that overran uses up whole periods to come.
	next := max(period+1, busy/share)
	return min(next*c.Period, c.For) - elapsed
}

// run calls piece with rests until the cycle's or the context's end or an error.
// It returns how long the pieces took.
func (c Cycle) run(ctx context.Context, piece func() error) (busy time.Duration, err error) {
	start := time.Now()
	for {
		elapsed := time.Since(start)
		if elapsed >= c.For || ctx.Err() != nil {
			return busy, nil
		}
		if d := c.rest(elapsed, busy); d > 0 {
			sleep(ctx, d)
			continue
		}
		before := time.Now()
		err := piece()
		busy += time.Since(before)
		if err != nil {
			return busy, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

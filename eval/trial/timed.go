package trial

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"dfetch/eval/peer"
	"dfetch/eval/proc"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// finish is how one receiver's command ended.
type finish struct {
	took  time.Duration
	usage result.Usage
	err   error
}

// timed runs all receivers' commands within the time box, under the cell's load
// and link changes, and fills in times and usage.
func (b *Bench) timed(ctx context.Context, cell scenarios.Cell, session peer.Session, job peer.Job, net network, r *result.Result) error {
	box := cell.Scenario.Box
	ctx, cancel := context.WithTimeout(ctx, box)
	defer cancel()
	var commands []*exec.Cmd
	for i := range job.Receivers {
		cmd, err := session.Command(ctx, i)
		if err != nil {
			return err
		}
		commands = append(commands, cmd)
	}
	steps, err := cell.Scenario.Script(b.Networks[cell.Net])
	if err != nil {
		return err
	}
	if err := net.play(steps); err != nil {
		return err
	}
	loads, err := b.newLoads(cell, job.Receivers[0].Dir)
	if err != nil {
		return err
	}
	loads.limit(commands)
	loads.start(ctx)
	ends := runAll(commands)
	timedOut := errors.Is(ctx.Err(), context.DeadlineExceeded)
	cancel()
	err = loads.close()
	record(r, ends, timedOut, box)
	return err
}

// runAll runs the commands at once and waits for all.
func runAll(commands []*exec.Cmd) []finish {
	ends := make([]finish, len(commands))
	var group sync.WaitGroup
	start := time.Now()
	for i, cmd := range commands {
		group.Go(func() {
			usage, err := proc.Run(cmd)
			ends[i] = finish{time.Since(start), usage, err}
		})
	}
	group.Wait()
	return ends
}

// record puts the ends into the result.
func record(r *result.Result, ends []finish, timedOut bool, box time.Duration) {
	var seconds []float64
	var sum float64
	for _, e := range ends {
		seconds = append(seconds, e.took.Seconds())
		sum += e.took.Seconds()
		r.Receiver.Add(e.usage)
		if e.err != nil {
			r.Outcome, r.Reason = result.Failed, e.err.Error()
		}
	}
	r.Seconds = slices.Max(seconds)
	if len(ends) > 1 {
		r.First, r.Mean = slices.Min(seconds), sum/float64(len(ends))
	}
	if timedOut && r.Outcome == result.Failed {
		r.Outcome, r.Reason, r.Seconds = result.TimeBox, fmt.Sprintf("stopped after %v", box), box.Seconds()
	}
}

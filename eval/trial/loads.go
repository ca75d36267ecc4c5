package trial

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"dfetch/eval/load"
	"dfetch/eval/proc"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// loads are what makes the machine worse during one run: a limit on the
// receivers' disk, and what keeps disk and processors busy from a moment on.
type loads struct {
	cell     scenarios.Cell
	dir      string // on the disk that is loaded
	burner   string // the lab's program
	throttle *load.Throttle
	group    errgroup.Group
}

// newLoads makes the limit, if the cell has one. A machine without control groups
// for disks is a result.Missing.
func (b *Bench) newLoads(cell scenarios.Cell, dir string) (*loads, error) {
	l := &loads{cell: cell, dir: dir, burner: b.Lab}
	if cell.DiskLimit == (scenarios.Size{}) {
		return l, nil
	}
	var err error
	l.throttle, err = load.NewThrottle(dir, cell.DiskLimit.Bytes)
	if errors.Is(err, load.ErrNoThrottle) {
		return nil, result.Missingf("%v", err)
	}
	return l, err
}

// limit puts the commands, which have not been started, under the limit.
func (l *loads) limit(commands []*exec.Cmd) {
	if l.throttle == nil {
		return
	}
	for _, cmd := range commands {
		l.throttle.Wrap(cmd)
	}
}

// start begins the loads, from the cell's moment until ctx ends.
func (l *loads) start(ctx context.Context) {
	if l.cell.DiskLoad > 0 {
		l.group.Go(func() error { return l.after(ctx, l.loadDisk) })
	}
	if l.cell.CPULoad.Workers > 0 {
		l.group.Go(func() error { return l.after(ctx, l.loadCPU) })
	}
}

// close waits for the loads, whose context must have ended, and removes the limit.
func (l *loads) close() error {
	err := l.group.Wait()
	if l.throttle != nil {
		err = errors.Join(err, l.throttle.Close())
	}
	return err
}

// after waits for the moment when loads start.
func (l *loads) after(ctx context.Context, then func(context.Context) error) error {
	wait := time.NewTimer(l.cell.Scenario.LoadAfter)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-wait.C:
		return then(ctx)
	}
}

// loadDisk takes the load's share off the limit or, without one, writes.
func (l *loads) loadDisk(ctx context.Context) error {
	if l.throttle != nil {
		return l.throttle.Set(restOf(l.cell.DiskLimit.Bytes, l.cell.DiskLoad))
	}
	disk := load.Disk{Cycle: load.Cycle{Duty: float64(l.cell.DiskLoad) / 100, For: l.cell.Scenario.Box}, Dir: l.dir}
	_, err := disk.Run(ctx)
	return err
}

// restOf is what a load of so many percent leaves of a limit; never nothing, which no kernel takes for a limit.
func restOf(limit int64, percent int) int64 {
	return max(limit*int64(100-percent)/100, 4096)
}

// loadCPU runs the lab's own program as the load: the links' threads belong to this process, and should not be
// those that are slowed down by its runtime.
func (l *loads) loadCPU(ctx context.Context) error {
	cpu := l.cell.CPULoad
	cmd := exec.CommandContext(ctx, "nice", "-n", strconv.Itoa(l.cell.Scenario.CPUNice), l.burner, "burn",
		fmt.Sprintf("-workers=%d", cpu.Workers), fmt.Sprintf("-duty=%g", float64(cpu.Percent)/100),
		fmt.Sprintf("-for=%v", l.cell.Scenario.Box))
	if _, err := proc.Run(cmd); err != nil && ctx.Err() == nil {
		return fmt.Errorf("CPU load: %w", err)
	}
	return nil
}

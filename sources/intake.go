package sources

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// IntakeConfig bounds an intake.
type IntakeConfig struct {
	Workers int   // goroutines that hash and deliver; zero is one a processor
	Bytes   int64 // of runs queued or being worked on; zero is 4 MiB
	Runs    int   // the same, by number; zero is 1024
}

// Intake is the workers that hash and deliver what sources receive. Who receives does neither, also with few
// processors: it was slower. Sources share one, so that the memory for bytes between the network and the sink is
// bounded once. A sink that blocks fills it, and then Submit blocks: sources stop reading.
type Intake struct {
	cfg   IntakeConfig
	bytes *semaphore.Weighted
	jobs  chan job
	wg    sync.WaitGroup

	received, settled atomic.Int64 // bytes of runs
}

// IntakeStats is the bytes of runs that were submitted, and those of them that have been dealt with,
// well or badly.
type IntakeStats struct{ Received, Settled int64 }

// Stats says what has come in so far.
func (in *Intake) Stats() IntakeStats {
	settled := in.settled.Load() // first, so that it is never more than was received
	return IntakeStats{Received: in.received.Load(), Settled: settled}
}

// job is bytes that came. settle does not release buf.
type job struct {
	ledger *Ledger
	buf    *Buffer
	settle func()
	cost   int64
}

// NewIntake starts the workers. Close ends them.
func NewIntake(cfg IntakeConfig) *Intake {
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Bytes <= 0 {
		cfg.Bytes = 4 << 20
	}
	if cfg.Runs <= 0 {
		cfg.Runs = 1024
	}
	in := &Intake{cfg: cfg, bytes: semaphore.NewWeighted(cfg.Bytes), jobs: make(chan job, cfg.Runs)}
	for range cfg.Workers {
		in.wg.Go(in.work)
	}
	return in
}

// Submit hands a run to the workers, which do what l.Arrive does. It blocks while the intake is full. If
// ctx ends first, it releases the run's buffer and returns ctx's error; the run's wants stay outstanding.
func (in *Intake) Submit(ctx context.Context, l *Ledger, run Run) error {
	return in.submit(ctx, job{ledger: l, buf: run.Buf, settle: func() { l.settle(run) }})
}

// SubmitParts is Submit for parts of chunks.
func (in *Intake) SubmitParts(ctx context.Context, l *Ledger, parts Parts) error {
	return in.submit(ctx, job{ledger: l, buf: parts.Buf, settle: func() { l.settleParts(parts) }})
}

func (in *Intake) submit(ctx context.Context, j job) error {
	in.received.Add(int64(len(j.buf.Data)))
	cost := min(int64(cap(j.buf.Data)), in.cfg.Bytes)
	if err := in.bytes.Acquire(ctx, cost); err != nil {
		in.drop(j)
		return err
	}
	j.cost = cost
	if !j.ledger.enter() {
		in.drop(j)
		return ErrClosed
	}
	select {
	case in.jobs <- j:
		return nil
	case <-ctx.Done():
		j.ledger.leave()
		in.drop(j)
		return ctx.Err()
	}
}

// drop frees what a job holds.
func (in *Intake) drop(j job) {
	in.settled.Add(int64(len(j.buf.Data)))
	j.buf.Release()
	in.bytes.Release(j.cost)
}

// Close waits for what was submitted and ends the workers. Every source that submits must have
// ended before.
func (in *Intake) Close() {
	close(in.jobs)
	in.wg.Wait()
}

func (in *Intake) work() {
	for j := range in.jobs {
		j.settle()
		j.ledger.leave()
		in.drop(j)
	}
}

package fetch

import (
	"slices"
	"time"

	"dfetch/costmodel"
)

// Small files are hashed in batches: opening one costs little more than the way to the disk's goroutine and back, so
// those that the plan would hash next anyway, and that are likely to be what they are taken for, go together, but not
// before a few were tried alone. A batch counts as one operation for back-pressure; in all else its files are operations of their own: each
// has its own end, teaches what it cost and held, and may be found to be of no use.

// Bounds of a batch.
const (
	batchFile  = 64 << 10 // a longer file goes alone
	batchFiles = 32
	batchBytes = 512 << 10
	batchTime  = 10e-3 // seconds that it is thought to take
	batchShare = 0.5   // of a file's bytes that must be expected to be useful
)

// start gives an operation to the shell.
func (s *search) start(now time.Time, c *Core, op costmodel.Op) bool {
	idle := s.active() == 0
	s.batch++
	if !s.startInBatch(now, c, op) {
		return false
	}
	s.disk.SearchStarted()
	if idle {
		s.progress = now
		s.abreast.began(now)
	}
	return true
}

// startInBatch gives an operation to the shell as a part of the newest batch, unless too many are running.
func (s *search) startInBatch(now time.Time, c *Core, op costmodel.Op) bool {
	if !s.planner.Start(op) {
		return false
	}
	a := Action{Offset: op.Offset}
	switch op.Kind {
	case costmodel.OpStat:
		a.Kind, a.ID = ActStat, s.dirs.of(op.ID)
	case costmodel.OpHash:
		a.Kind, a.ID, a.Count, a.Batch = ActHash, s.files.of(op.ID), op.Len, s.batch
	case costmodel.OpCheck:
		a.Kind, a.Count = ActCheck, op.Len
	case costmodel.OpRead:
		a.Kind, a.ID = ActRead, s.runs[op.ID]
	}
	s.running = append(s.running, running{op: op, id: a.ID, batch: s.batch, since: now})
	c.actions = append(c.actions, a)
	return true
}

// batchable says whether a file may be hashed together with others.
func batchable(op costmodel.Op) bool {
	return op.Kind == costmodel.OpHash && op.Offset == 0 && op.Len <= batchFile && float64(op.Useful) >= batchShare*float64(op.Len)
}

// fillBatch adds the files that come next to the batch that begins with an operation.
func (s *search) fillBatch(now time.Time, c *Core, first costmodel.Op, rate float64) {
	if !batchable(first) || !s.planner.Tried() {
		return
	}
	bytes, cost, worth := first.Len, first.Cost, s.worth // a copy: what is not begun is not refused
	for n := 1; n < batchFiles; n++ {
		op, _, ok := s.best(now)
		if !ok || op.Dev != first.Dev || !batchable(op) || bytes+op.Len > batchBytes || cost+op.Cost > batchTime {
			return
		}
		if !c.cfg.NoPressure && !worth.Allow(now, s.offer(now, c, op, rate)).Allow {
			return
		}
		if !s.startInBatch(now, c, op) {
			return
		}
		bytes, cost = bytes+op.Len, cost+op.Cost
	}
}

// batchEnded takes in the end of one operation of a batch, and how long it kept the disk busy. The batch ends with its last
// one, which has kept it as long as all of them.
func (s *search) batchEnded(now time.Time, r running, took time.Duration) {
	took += r.before
	i := slices.IndexFunc(s.running, func(o running) bool { return o.batch == r.batch })
	switch {
	case i >= 0:
		s.running[i].before += took
		s.wentOn(now, r.batch)
	case r.late:
		s.disk.LateEnded()
	default:
		s.disk.SearchEnded(now, took)
	}
}

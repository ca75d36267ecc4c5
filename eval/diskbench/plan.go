package diskbench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"dfetch/costmodel"
	"dfetch/eval/result"
)

// What the cost model is given, for each file.
const (
	planChunks  = 10
	planBytes   = planChunks * 16 << 10
	planFolder  = 25                     // files
	planPerFile = 100 * time.Microsecond // the core plans no oftener than this for each wanted file
	planOps     = 100_000
)

// plan fills the cost model with so many files, and times its decisions.
func (b *Bench) plan(ctx context.Context, j *job, r *result.Result) error {
	files := int(j.Size.Count)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := processorTime()
	p := filledPlanner(files)
	r.Figures["build-s"] = (processorTime() - start).Seconds()
	runtime.GC()
	runtime.ReadMemStats(&after)
	r.Figures["MB"] = float64(after.HeapAlloc-before.HeapAlloc) / 1e6
	start = processorTime()
	p.Plan()
	plan := processorTime() - start
	r.Figures["plan-s"] = plan.Seconds()
	r.Figures["plan-%"] = 100 * plan.Seconds() / (time.Duration(files) * planPerFile).Seconds()
	start = processorTime()
	n, slowest := decide(ctx, p, min(planOps, files))
	took := processorTime() - start
	r.Figures["slowest-ms"] = slowest.Seconds() * 1e3
	r.Figures["µs-an-op"] = took.Seconds() * 1e6 / float64(max(1, n))
	r.Files, r.Bytes = int64(files), int64(files)*planBytes
	r.Seconds = r.Figures["build-s"] + plan.Seconds() + took.Seconds()
	r.Receiver.CPU = r.Seconds
	return context.Cause(ctx)
}

// filledPlanner wants a tree of so many files and knows a disk with as many, half of them under the name of a wanted one.
func filledPlanner(files int) *costmodel.Planner {
	p := costmodel.NewPlanner(costmodel.Config{}, costmodel.NewCosts())
	size := func(i int) int64 { return int64(1000 + i%99991*10) }
	name := func(i int) string { return fmt.Sprintf("f%x.dat", i*7919) }
	for i := range files {
		path := costmodel.NewPath(planPath("user", i), name(i))
		s, _ := p.AddSource(costmodel.SourceFile{Path: path, Size: size(i), MTime: int64(i)})
		p.Want(p.Group(s), planChunks, planBytes)
	}
	var dir costmodel.DirID
	for i := range files {
		if i%planFolder == 0 {
			dir, _ = p.AddRoot(planPath("backup", i), 0)
		}
		n := name(i)
		if i%2 == 1 {
			n = fmt.Sprintf("other%d.txt", i)
		}
		p.AddFile(dir, n, size(i), int64(i))
	}
	return p
}

func planPath(user string, i int) []string {
	return []string{"home", user, fmt.Sprint("project", i/planFolder/1000), fmt.Sprint("part", i/planFolder/50), fmt.Sprint("dir", i/planFolder)}
}

// decide takes so many operations, as if each went as predicted. It returns how many there were, and the time by the
// clock of the one whose decision and end took longest.
func decide(ctx context.Context, p *costmodel.Planner, ops int) (n int, slowest time.Duration) {
	now := time.Unix(1, 0)
	for ; n < ops && ctx.Err() == nil; n++ {
		now = now.Add(time.Millisecond)
		before := time.Now()
		op, ok := p.Next(now)
		if !ok || !p.Start(op) {
			return n, slowest
		}
		p.Done(op, costmodel.Result{Seconds: op.Cost, Units: op.Len})
		slowest = max(slowest, time.Since(before))
	}
	return n, slowest
}

package sender

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/sources"
)

// dropper is a sink that throws away what was verified.
type dropper struct {
	bytes atomic.Int64
	want  int64
	done  chan struct{}
	fault atomic.Pointer[error]
}

func (d *dropper) Deliver(b *sources.Batch) {
	n := int64(len(b.Data))
	b.Release()
	if d.bytes.Add(n) == d.want {
		close(d.done)
	}
}

func (d *dropper) Fail(_ []sources.Want, err error) { d.fault.Store(&err); close(d.done) }
func (d *dropper) Down(error)                       {}

func benchmarkWorld(b *testing.B, w *world, size int64) {
	w.data = nil
	r := serveWorld(b, w, ServerConfig{})
	b.SetBytes(size)
	before := cpuTime(b)
	b.ResetTimer()
	for range b.N {
		sink := &dropper{want: size, done: make(chan struct{})}
		in := sources.NewIntake(sources.IntakeConfig{})
		cfg := r.config(b, sink)
		cfg.Intake = in
		c, err := Dial(b.Context(), cfg)
		check(b, err)
		check(b, c.Request(w.wants))
		<-sink.done
		if err := sink.fault.Load(); err != nil {
			b.Fatal(*err)
		}
		check(b, c.Close())
		in.Close()
	}
	used := cpuTime(b) - before
	b.ReportMetric(used.Seconds()/float64(b.N)/(float64(size)/(1<<30)), "cpu-s/GiB")
}

// cpuTime is what the process has used, user and system. It says more than the clock on a machine
// that others use too.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoopback moves 1 GiB over loopback with TLS and hashing, both ends in one process.
func BenchmarkLoopback(b *testing.B) {
	const size = 1 << 30
	w := flatWorld(b, []spec{{"big", noise(1, size)}})
	benchmarkWorld(b, w, size)
}

// BenchmarkLoopbackSmall moves 20 000 files of 20 KB.
func BenchmarkLoopbackSmall(b *testing.B) {
	const files, each = 20_000, 20_000
	data := noise(2, files+each)
	specs := make([]spec, files)
	for i := range specs {
		specs[i] = spec{fmt.Sprintf("%06d", i), data[i : i+each]}
	}
	benchmarkWorld(b, flatWorld(b, specs), files*each)
}

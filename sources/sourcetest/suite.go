package sourcetest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/sources"
)

// Config is what the suite wants of a source. The far end must hold Chunks and behave as Faults says
// (by a Peer), over a path with this round trip and rate (a Link).
type Config struct {
	Chunks       *Chunks
	Faults       Faults
	Sink         sources.Sink
	RTT          time.Duration
	Rate         float64       // bytes a second
	StallTimeout time.Duration // of the source
}

// Factory makes a source. It runs inside a bubble of testing/synctest: no sockets. What it starts
// beside the source it ends by t.Cleanup.
type Factory func(t *testing.T, cfg Config) sources.Source

const (
	suiteChunks = 300
	suiteRTT    = 40 * time.Millisecond
	suiteRate   = 2 << 20
	suiteStall  = 3 * time.Second
)

// Run holds a source to the contract.
func Run(t *testing.T, factory Factory) {
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"DeliversEachOnce", deliversEachOnce},
		{"IgnoresRepeatedWants", ignoresRepeatedWants},
		{"Cancels", cancels},
		{"Reports", reports},
		{"Corrupt", corrupt},
		{"Short", short},
		{"Duplicate", duplicate},
		{"Reordered", reordered},
		{"Unasked", unasked},
		{"Refused", refused},
		{"Everything", everything},
		{"Stalled", stalled},
		{"Flooded", flooded},
		{"PeerCloses", peerCloses},
		{"Closes", closes},
		{"SlowSink", slowSink},
		{"Patched", patchedChunks},
		{"PatchedBadly", patchedBadly},
		{"PatchedFaults", patchedFaults},
		{"PatchedCancels", patchedCancels},
		{"PatchedStalls", patchedStalls},
		{"PatchedCloses", patchedCloses},
		{"Zooms", zooms},
		{"ZoomsFaults", zoomsFaults},
		{"ZoomsStalled", zoomsStalled},
		{"ZoomsPeerCloses", zoomsPeerCloses},
		{"ZoomsCloses", zoomsCloses},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{T: t, factory: factory, chunks: NewChunks(1, suiteChunks)}
				b.sink = NewRecorder(b.chunks)
				c.test(b)
				b.finish()
			})
		})
	}
}

// bench is one case of the suite.
type bench struct {
	*testing.T
	factory Factory
	chunks  *Chunks
	sink    *Recorder
	source  sources.Source
	asked   bool // for all chunks
	zoomed  bool // all chunks
}

// start makes the source and asks for everything.
func (b *bench) start(f Faults) {
	b.Helper()
	b.open(f)
	b.request(b.chunks.Wants)
}

func (b *bench) open(f Faults) {
	b.Helper()
	b.source = b.factory(b.T, Config{
		Chunks: b.chunks, Faults: f, Sink: b.sink, RTT: suiteRTT, Rate: suiteRate, StallTimeout: suiteStall,
	})
}

func (b *bench) request(wants []sources.Want) {
	b.Helper()
	b.asked = true
	if err := b.source.Request(wants); err != nil {
		b.Fatal(err)
	}
}

// settle lets time pass until everything is settled, or a minute is over.
func (b *bench) settle() Summary {
	b.Helper()
	return b.until(func(s Summary) bool { return s.Got+len(s.Failed) == len(b.chunks.Wants) })
}

// until lets time pass until something holds, or a minute is over.
func (b *bench) until(holds func(Summary) bool) Summary {
	b.Helper()
	for range 600 {
		if s := b.sink.Summary(); holds(s) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	s := b.sink.Summary()
	b.Fatalf("%d came, %d failed and %d were zoomed of %d after a minute", s.Got, len(s.Failed), len(s.Zoomed), len(b.chunks.Wants))
	return s
}

// finish closes the source and checks what holds in every case.
func (b *bench) finish() {
	b.Helper()
	if err := b.source.Close(); err != nil {
		b.Error(err)
	}
	s := b.sink.Summary()
	for _, breach := range s.Broken {
		b.Error(breach)
	}
	if len(s.Down) != 1 {
		b.Errorf("Down was called %d times, want once", len(s.Down))
	}
	if b.asked && s.Got+len(s.Failed) != len(b.chunks.Wants) {
		b.Errorf("%d came and %d failed of %d", s.Got, len(s.Failed), len(b.chunks.Wants))
	}
	if b.zoomed && len(s.Zoomed) != len(b.chunks.Wants) {
		b.Errorf("%d zooms of %d were answered", len(s.Zoomed), len(b.chunks.Wants))
	}
	if n := b.source.Stats().Outstanding; n != 0 {
		b.Errorf("%d bytes are outstanding after Close", n)
	}
	if err := b.source.Request(b.chunks.Wants[:1]); !errors.Is(err, sources.ErrClosed) {
		b.Errorf("Request after Close: %v, want ErrClosed", err)
	}
}

// all checks that nothing failed.
func (b *bench) all(s Summary) {
	b.Helper()
	for ordinal, err := range s.Failed {
		b.Fatalf("%d chunks failed, chunk %d: %v", len(s.Failed), ordinal, err)
	}
}

// only checks that failures are of one kind, and that there are some.
func (b *bench) only(s Summary, want error) {
	b.Helper()
	if len(s.Failed) == 0 {
		b.Fatalf("no chunk failed, want some with %q", want)
	}
	for ordinal, err := range s.Failed {
		if !errors.Is(err, want) {
			b.Fatalf("chunk %d: %v, want %q", ordinal, err, want)
		}
	}
}

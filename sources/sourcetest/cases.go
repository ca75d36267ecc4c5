package sourcetest

import (
	"sync/atomic"
	"testing/synctest"
	"time"

	"dfetch/sources"
)

func deliversEachOnce(b *bench) {
	b.start(Faults{})
	b.all(b.settle())
}

func ignoresRepeatedWants(b *bench) {
	b.open(Faults{})
	for range 3 {
		b.request(b.chunks.Wants)
	}
	b.all(b.settle())
}

func cancels(b *bench) {
	b.start(Faults{})
	time.Sleep(suiteRTT)
	b.source.Cancel(b.chunks.Wants[suiteChunks/2:])
	s := b.settle()
	b.only(s, sources.ErrCanceled)
	if s.Got < suiteChunks/2 {
		b.Errorf("%d chunks came, %d were not canceled", s.Got, suiteChunks/2)
	}
}

func reports(b *bench) {
	b.start(Faults{})
	if n := b.source.Stats().Outstanding; n != b.chunks.Bytes() {
		b.Errorf("%d bytes are outstanding, want %d", n, b.chunks.Bytes())
	}
	b.all(b.settle())
	s := b.source.Stats()
	if s.Rate < suiteRate/4 || s.Rate > suiteRate*4 {
		b.Errorf("rate is %.0f, the link has %d", s.Rate, suiteRate)
	}
	if s.MinRTT < suiteRTT/2 || s.MinRTT > suiteRTT*4 {
		b.Errorf("round trip is %v, the link has %v", s.MinRTT, suiteRTT)
	}
	if s.WireBytes < b.chunks.Bytes() || s.Progress.IsZero() || s.Rejected != 0 || s.Unasked != 0 {
		b.Errorf("stats are %+v after %d bytes", s, b.chunks.Bytes())
	}
	if p := b.source.Properties(); p.Kind == "" || p.Name == "" {
		b.Errorf("properties are %+v", p)
	}
}

func corrupt(b *bench) {
	b.start(Faults{Seed: 1, Corrupt: 0.1})
	s := b.settle()
	b.only(s, sources.ErrCorrupt)
	if got := b.source.Stats().Rejected; int(got) != len(s.Failed) {
		b.Errorf("%d chunks were rejected, %d failed", got, len(s.Failed))
	}
}

func short(b *bench) {
	b.start(Faults{Seed: 2, Short: 0.1})
	b.only(b.settle(), sources.ErrCorrupt)
}

func duplicate(b *bench) {
	b.start(Faults{Seed: 3, Duplicate: 0.2})
	b.all(b.settle())
	if b.source.Stats().Unasked == 0 {
		b.Error("no duplicate was counted")
	}
}

func reordered(b *bench) {
	b.start(Faults{Seed: 4, Reorder: true})
	b.all(b.settle())
}

// unasked asks for the first half, so that chunks of the second are not asked for.
func unasked(b *bench) {
	half := suiteChunks / 2
	b.open(Faults{Seed: 5, Unasked: 0.3})
	b.request(b.chunks.Wants[:half])
	for range 600 {
		if b.sink.Summary().Got >= half {
			break
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	if s := b.sink.Summary(); s.Got != half {
		b.Errorf("%d chunks were delivered, %d were asked for", s.Got, half)
	}
	if b.source.Stats().Unasked == 0 {
		b.Error("no unasked chunk was counted")
	}
	b.request(b.chunks.Wants[half:])
	b.all(b.settle())
}

func refused(b *bench) {
	b.start(Faults{Seed: 6, Refuse: 0.1})
	b.only(b.settle(), sources.ErrNotHeld)
}

func everything(b *bench) {
	b.start(Faults{Seed: 7, Corrupt: 0.05, Short: 0.05, Duplicate: 0.1, Unasked: 0.1, Refuse: 0.05, Reorder: true})
	if s := b.settle(); s.Got == 0 || len(s.Failed) == 0 {
		b.Errorf("%d came and %d failed", s.Got, len(s.Failed))
	}
}

func stalled(b *bench) {
	b.start(Faults{StallAfter: 50})
	begin := time.Now()
	s := b.settle()
	b.only(s, sources.ErrStalled)
	if took := time.Since(begin); took < suiteStall || took > 4*suiteStall {
		b.Errorf("the stall was noticed after %v, the limit is %v", took, suiteStall)
	}
	if s.Got == 0 {
		b.Error("nothing came before the stall")
	}
}

func flooded(b *bench) {
	b.start(Faults{FloodAfter: 50})
	b.only(b.settle(), sources.ErrProtocol)
}

func peerCloses(b *bench) {
	b.start(Faults{CloseAfter: 50})
	s := b.settle()
	if s.Got == 0 || len(s.Failed) == 0 || len(s.Down) != 1 {
		b.Errorf("%d came, %d failed, %d times down", s.Got, len(s.Failed), len(s.Down))
	}
}

func closes(b *bench) {
	b.start(Faults{})
	time.Sleep(suiteRTT)
	if err := b.source.Close(); err != nil {
		b.Error(err)
	}
	b.only(b.sink.Summary(), sources.ErrClosed)
}

// slowSink blocks longer than the stall timer allows: that is our side's doing, not a stall.
func slowSink(b *bench) {
	var slept atomic.Bool
	b.sink.Block = func() {
		if slept.CompareAndSwap(false, true) {
			time.Sleep(3 * suiteStall)
		}
	}
	b.start(Faults{})
	b.all(b.settle())
}

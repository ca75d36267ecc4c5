package sender

import (
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// setClock is what time.Now gives after somebody has set the machine's clock by so many seconds: another wall
// time, and the same monotonic one. Package time has no way to make such a value.
func setClock(t *testing.T, now time.Time, seconds int64) time.Time {
	t.Helper()
	type layout struct {
		wall uint64 // 1 bit: there is a monotonic time; 33 bits: seconds; 30 bits: nanoseconds
		ext  int64
		loc  *time.Location
	}
	set := now
	(*layout)(unsafe.Pointer(&set)).wall += uint64(seconds << 30)
	if set.Sub(now) != 0 || set.Unix() != now.Unix()+seconds {
		t.Fatalf("package time keeps a Time in another way: %v, %v", now, set)
	}
	return set
}

// TestClockIsSet: a clock that is set forth and back by an hour, in the middle of a transfer, neither ends it nor
// spoils the round trip.
func TestClockIsSet(t *testing.T) {
	w := flatWorld(t, []spec{{"f", noise(1, 300<<10)}})
	r := serveWorld(t, w, ServerConfig{UploadLimit: 400 << 10})
	sink := newCollector()
	cfg := r.config(t, sink)
	var by atomic.Int64
	cfg.Now = func() time.Time { return setClock(t, time.Now(), by.Load()) }
	cfg.StallTimeout = 2 * time.Second
	c := r.dial(t, cfg)
	check(t, c.Request(w.wants))
	done := make(chan struct{})
	go func() {
		defer close(done)
		sink.settled(t, len(w.wants))
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for jumps := []int64{3600, -3600, 0}; ; jumps = append(jumps[1:], jumps[0]) {
		select {
		case <-tick.C:
			by.Store(jumps[0])
			continue
		case <-done:
		}
		break
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.failed) > 0 || sink.down != nil {
		t.Errorf("%d of %d chunks failed, the source ended with %v", len(sink.failed), len(w.wants), sink.down)
	}
	if rtt := c.Stats().MinRTT; rtt <= 0 || rtt > time.Second {
		t.Errorf("round trip %v", rtt)
	}
}

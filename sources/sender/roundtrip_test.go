package sender

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/sources"
)

// TestSmallFilesShareRoundTrips moves 20 000 small files over a link with a round trip of 100 ms. A
// round trip each would be 2000 seconds.
func TestSmallFilesShareRoundTrips(t *testing.T) {
	const files, rtt = 20_000, 100 * time.Millisecond
	data := noise(1, files+200)
	specs := make([]spec, files)
	for i := range specs {
		specs[i] = spec{fmt.Sprintf("%06d", i), data[i : i+200]}
	}
	w := flatWorld(t, specs)
	synctest.Test(t, func(t *testing.T) {
		sink := newCollector()
		begin := time.Now()
		c := linkRig(t, w, rtt/2, 0, ServerConfig{}, sink)
		if err := c.Request(w.wants); err != nil {
			t.Fatal(err)
		}
		sink.settled(t, files)
		if len(sink.got) != files {
			t.Fatalf("%d of %d chunks came: %v", len(sink.got), files, sink.failed)
		}
		// One round trip each for the handshake, HELLO and GET; the link itself takes no time.
		if took := time.Since(begin); took > 6*rtt {
			t.Errorf("it took %v of virtual time, want at most six round trips of %v", took, rtt)
		}
	})
}

// TestOneWantAtATime asks for the next chunk only when the last came: the slow way, which shows that
// the link's delay is real.
func TestOneWantAtATime(t *testing.T) {
	const rtt = 100 * time.Millisecond
	w := smallWorld(t)
	synctest.Test(t, func(t *testing.T) {
		sink := newCollector()
		c := linkRig(t, w, rtt/2, 0, ServerConfig{}, sink)
		begin := time.Now()
		for i := range 10 {
			check(t, c.Request([]sources.Want{w.wants[i]}))
			sink.settled(t, i+1)
		}
		if took := time.Since(begin); took < 10*rtt {
			t.Errorf("ten round trips of %v took %v", rtt, took)
		}
	})
}

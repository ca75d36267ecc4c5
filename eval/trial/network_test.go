package trial

import (
	"testing"
	"time"

	"dfetch/eval/netlab"
)

// TestTrafficTakesInAllWires: the worst lateness, and the sum of what was lost.
func TestTrafficTakesInAllWires(t *testing.T) {
	var got traffic
	got.add(netlab.WireCounters{Up: netlab.Counters{LateMax: 3, DeviceDrops: 1}, Down: netlab.Counters{LateMax: 7, DeliveryRefused: 10}})
	got.add(netlab.WireCounters{Up: netlab.Counters{DeliveryRefused: 20}, Down: netlab.Counters{LateMax: 5, DeviceDrops: 2}})
	if want := (traffic{late: 7 * time.Nanosecond, dropped: 3, refused: 30}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

package fetch

import (
	"testing"
	"time"
)

// Disk and network share one long file: they meet in it, and neither does what the other has done. Together they are
// nearly as fast as both rates added.
func TestDiskAndNetworkMeetInAFile(t *testing.T) {
	const chunks = 40_000
	for _, tt := range []struct{ network, disk, most float64 }{
		{200e6, 250e6, 1.2},
		{200e6, 100e6, 1.2},
		{50e6, 100e6, 1.2},
	} {
		src := &simSource{rate: tt.network, rtt: 200 * time.Microsecond}
		w := newWorld(1, CoreConfig{Search: true}, nil, src)
		w.addDisk(&simDisk{statCost: 1e-4, rate: tt.disk})
		edits := 0
		w.addFile(chunks, func() bool { edits++; return edits%100 != 0 })
		took := w.runPlanned(time.Hour, w.lens).Seconds()
		w.checkAll(t)
		bytes := float64(chunks * simChunk)
		if both := bytes / (tt.network + tt.disk); took > tt.most*both {
			t.Errorf("network %.0f MB/s, disk %.0f MB/s: %.2f s, both together %.2f s, the network alone %.2f s", tt.network/1e6, tt.disk/1e6, took, both, bytes/tt.network)
		}
	}
}

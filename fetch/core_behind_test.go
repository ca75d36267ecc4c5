package fetch

import (
	"math/rand/v2"
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

// However a file is planned while it is taken from its end, each chunk that the disk has not passed is taken.
func TestBlocksFromTheEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		b := behind{on: true}
		end, again := uint64(0), 0
		taken := map[uint64]bool{}
		for {
			if end < 20_000 && rng.IntN(3) > 0 {
				end += rng.Uint64N(4000)
			}
			b.grow(end)
			b.passed += rng.Uint64N(100)
			if !b.nextBlock() && end >= 20_000 {
				break
			}
			for ord := max(b.at, b.passed); ord < b.stop; ord++ {
				if taken[ord] {
					again++
				}
				taken[ord] = true
			}
		}
		for ord := b.passed; ord < end; ord++ {
			if !taken[ord] {
				t.Fatalf("round %d: chunk %d of %d was not taken", round, ord, end)
			}
		}
		if len(b.strips) > maxStrips || again > 4*behindBlock {
			t.Errorf("round %d: %d strips, %d chunks were looked at again", round, len(b.strips), again)
		}
	}
}

// What a slow network has to bring is known once the disk has been through the file. It brings little else: each
// chunk that the disk is about to find keeps it from what only it has.
func TestASlowNetworkIsKeptForWhatTheDiskLacks(t *testing.T) {
	const chunks, lacks = 12_000, 50
	src := &simSource{rate: 12.5e6, rtt: 200 * time.Microsecond}
	w := newWorld(1, CoreConfig{Search: true}, nil, src)
	w.addDisk(&simDisk{statCost: 1e-4, rate: 1e9})
	edits := 0
	w.addFile(chunks, func() bool { edits++; return edits%lacks != 0 })
	took := w.runPlanned(time.Hour, w.lens).Seconds()
	w.checkAll(t)
	disk, lacking := chunks*simChunk/1e9, chunks/lacks*simChunk/src.rate
	if took > 1.4*max(disk, lacking) {
		t.Errorf("%.2f s; the disk needs %.2f s, what it lacks %.2f s", took, disk, lacking)
	}
}

package costmodel

import "testing"

// The design's own case: 88 missing chunks over a T1 line. And where it must not pay: a LAN, chunks of which
// all is missing, a round trip that is longer than the chunk.
func TestZoomPays(t *testing.T) {
	const hashing = 1 / 400e6
	for _, c := range []struct {
		name string
		zoom Zoom
		want bool
	}{
		{"T1", Zoom{Chunks: 88, Bytes: 1_630_000, Share: 0.35, Rate: 193e3, Wait: 0.04, Cut: hashing}, true},
		{"20 Mbit/s, one chunk, nothing else to do meanwhile", Zoom{Chunks: 1, Bytes: 16 << 10, Share: 0.3, Rate: 2.5e6, Wait: 0.04, Cut: hashing}, false},
		{"20 Mbit/s, one chunk, the line is busy", Zoom{Chunks: 1, Bytes: 16 << 10, Share: 0.3, Rate: 2.5e6, Cut: hashing}, true},
		{"10 Gbit/s", Zoom{Chunks: 10_000, Bytes: 160 << 20, Share: 0.1, Rate: 1.25e9, Cut: hashing}, false},
		{"all of it is missing", Zoom{Chunks: 100, Bytes: 1600 << 10, Share: 1, Rate: 193e3, Cut: hashing}, false},
		{"hardly anything is there", Zoom{Chunks: 100, Bytes: 1600 << 10, Share: 0.96, Rate: 193e3, Cut: hashing}, false},
		{"slow processor", Zoom{Chunks: 100, Bytes: 1600 << 10, Share: 0.2, Rate: 10e6, Cut: 1 / 10e6}, false},
	} {
		if got := c.zoom.Pays(); got != c.want {
			t.Errorf("%s: pays is %v", c.name, got)
		}
	}
}

func TestFineBytes(t *testing.T) {
	if n := FineBytes(88, 1_630_000); n < 12_000+25_469 || n > 20_000+25_469 {
		t.Errorf("the lists of 88 chunks take %d bytes, 12 to 20 KB of entries were measured, and there are 25 KB of blocks", n)
	}
}

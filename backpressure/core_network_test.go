package backpressure

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestWant(t *testing.T) {
	const chunk = 16 << 10
	for _, tt := range []struct {
		name string
		path Path
		want int64
	}{
		{"unknown", Path{}, firstWindow},
		{"twice what the path holds", Path{Rate: 10e6, MinRTT: 100 * time.Millisecond}, 2e6},
		{"at least two chunks", Path{Rate: 1e3, MinRTT: time.Millisecond}, 2 * chunk},
		{"at most twice the window", Path{Rate: 100e6, MinRTT: 100 * time.Millisecond, Cwnd: 100, MSS: 1448}, 289600},
		{"two chunks beat a small window", Path{Rate: 100e6, MinRTT: time.Second, Cwnd: 2, MSS: 100}, 2 * chunk},
	} {
		if got := tt.path.Want(chunk); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestPathVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		p := Path{Rate: rng.Float64() * 1e8, MinRTT: time.Duration(rng.Int64N(1e9)), Cwnd: rng.Int64N(100), MSS: 1448, Unsent: rng.Int64N(1e5)}
		out, chunk := rng.Int64N(1e8), rng.Int64N(1<<18)
		v := p.Allow(start, out, chunk)
		checkVerdict(t, start, v)
		if out < 2*chunk && !v.Allow {
			t.Fatalf("%+v: refused with %d outstanding, less than two chunks", p, out)
		}
		if out >= max(2*chunk, p.Want(chunk)) && v.Allow {
			t.Fatalf("%+v: allowed with %d outstanding, want %d", p, out, p.Want(chunk))
		}
	}
}

// A path is kept full: asking whenever allowed finds its rate from nothing in a few round trips.
func TestWindowGrows(t *testing.T) {
	const chunk, rtt, link = 16 << 10, 100 * time.Millisecond, 50e6
	p := Path{MinRTT: rtt}
	for range 12 {
		outstanding := int64(0)
		for p.Allow(start, outstanding, chunk).Allow {
			outstanding += chunk
		}
		p.Rate = min(link, float64(outstanding)/rtt.Seconds())
	}
	if p.Rate < link {
		t.Errorf("stuck at %.0f bytes a second", p.Rate)
	}
}

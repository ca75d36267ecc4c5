package sources

import (
	"math"
	"time"
)

const (
	rateWindow = 200 * time.Millisecond
	rateKeep   = 0.7 // weight of the past after one window
)

// rateMeter is the delivery rate: a moving average over windows in which something was outstanding.
type rateMeter struct {
	start time.Time // of the window
	bytes int64     // in the window
	rate  float64
}

// restart begins a window: what lies before it was idle time.
func (m *rateMeter) restart(now time.Time) {
	m.start, m.bytes = now, 0
}

// add counts n bytes that came.
func (m *rateMeter) add(now time.Time, n int64) {
	m.bytes += n
	m.fold(now)
}

// fold closes the window if it is long enough.
func (m *rateMeter) fold(now time.Time) {
	d := now.Sub(m.start)
	if d < rateWindow {
		return
	}
	window := float64(m.bytes) / d.Seconds()
	if m.rate == 0 {
		m.rate = window
	} else {
		keep := math.Pow(rateKeep, float64(d)/float64(rateWindow))
		m.rate = keep*m.rate + (1-keep)*window
	}
	m.restart(now)
}

package diskscan

import (
	"slices"
	"testing"
	"time"
)

// TestMeterTimesFewBuffers: the first two buffers are timed, and then one of eight.
func TestMeterTimesFewBuffers(t *testing.T) {
	var m meter
	var timed []int
	for n := range 2 * meterEach * 2 {
		if m.next() {
			timed = append(timed, n+1)
		}
	}
	if want := []int{1, 2, 10, 18, 26}; !slices.Equal(timed, want) {
		t.Errorf("buffers %v are timed, want %v", timed, want)
	}
}

// What was not timed is taken for as dear by the byte as what was. What is for no buffer counts as it is.
func TestMeterEstimates(t *testing.T) {
	for name, c := range map[string]struct {
		m    *meter
		want time.Duration
	}{
		"a quarter was timed": {&meter{bytes: 400, timed: 100, took: 3 * time.Millisecond, beside: 5 * time.Millisecond}, 17 * time.Millisecond},
		"all was timed":       {&meter{bytes: 100, timed: 100, took: 3 * time.Millisecond}, 3 * time.Millisecond},
		"nothing was read":    {&meter{took: 3 * time.Millisecond, beside: 5 * time.Millisecond}, 8 * time.Millisecond},
		"nothing was done":    {&meter{}, 0},
	} {
		if got := c.m.total(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The time of each buffer that is timed counts, and none of the others; all bytes count.
func TestMeterCounts(t *testing.T) {
	const work = 2 * time.Millisecond
	var m meter
	done := 0
	for _, timed := range []bool{true, false, true} {
		m.filled(100, timed)
		m.buffer(timed, func() { done++; burn(work) })
	}
	took := m.took
	m.once(func() { done++; burn(work) })
	m.once(func() { done++; burn(work) })
	if done != 5 || m.bytes != 300 || m.timed != 200 {
		t.Errorf("%d pieces of work, %d bytes, %d of them timed", done, m.bytes, m.timed)
	}
	if took < 2*work || m.took != took || m.beside < 2*work {
		t.Errorf("buffers took %v, then %v, and what is beside them %v; work takes %v", took, m.took, m.beside, work)
	}
}

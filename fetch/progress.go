package fetch

import (
	"context"
	"time"
)

// Snapshot is how a transfer stands.
type Snapshot struct {
	Elapsed  time.Duration
	Files    uint64 // regular files that are wanted
	Bytes    uint64 // their content bytes
	Done     uint64 // of them, in place or staged
	Planned  bool   // the recipe has been walked: what is missing is known
	Sources  map[string]SourceReport
	Rate     float64       // content bytes a second that arrive, over the last seconds
	ETA      time.Duration // 0 while unknown
	Resumed  uint64        // bytes that an earlier run had staged
	RecipeIn uint64        // bytes of the recipe received
}

const progressEvery = 200 * time.Millisecond

// showProgress calls Config.Progress until ctx ends.
func (t *transfer) showProgress(ctx context.Context) {
	if t.cfg.Progress == nil {
		return
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var rate rateMeter
	for {
		select {
		case now := <-tick.C:
			t.cfg.Progress(t.snapshot(now, &rate))
		case <-ctx.Done():
			return
		}
	}
}

func (t *transfer) snapshot(now time.Time, rate *rateMeter) Snapshot {
	by, want := t.stats.bySource(), t.wanted()
	s := Snapshot{
		Elapsed: now.Sub(t.start), Files: want.Files,
		Bytes: want.Bytes, Planned: t.stats.planDone.Load(), Sources: by, Resumed: t.stats.resumed.Load(),
	}
	t.mu.Lock()
	s.RecipeIn = uint64(t.nodeIn)
	t.mu.Unlock()
	var arrived uint64
	for _, r := range by {
		arrived += r.Bytes
	}
	s.Done = arrived + t.stats.wholeBytes.Load() + t.stats.holeBytes.Load() + s.Resumed
	s.Rate = rate.add(now, arrived)
	if s.Planned && s.Rate > 0 && s.Bytes >= s.Done {
		s.ETA = time.Duration(float64(s.Bytes-s.Done) / s.Rate * float64(time.Second))
	}
	return s
}

// rateMeter measures a growing counter over the last seconds.
type rateMeter struct {
	points []ratePoint
}

type ratePoint struct {
	at time.Time
	n  uint64
}

func (m *rateMeter) add(now time.Time, n uint64) float64 {
	m.points = append(m.points, ratePoint{now, n})
	for len(m.points) > 2 && now.Sub(m.points[0].at) > 3*time.Second {
		m.points = m.points[1:]
	}
	first := m.points[0]
	if d := now.Sub(first.at).Seconds(); d > 0 {
		return float64(n-first.n) / d
	}
	return 0
}

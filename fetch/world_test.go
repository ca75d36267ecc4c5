package fetch

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// world is a simulated machine in virtual time: it carries out a core's actions on sources, a disk and
// a writer, and feeds the results back.
type world struct {
	now     time.Time
	core    *Core
	rng     *rand.Rand
	srcs    []*simSource
	queue   simQueue
	lens    []uint32
	got     map[uint64]int // arrivals by ordinal
	lost    map[uint64]Why
	dup     int64
	actions []Action
	seq     int
	d       *simDisk  // nil without one
	hung    int       // operations on a disk that hangs
	writer  simWriter // takes what arrives
	planned int       // decisions of which planning was a part
	unseen  int       // of them, those that mayPlan had not foreseen
}

type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

func newWorld(seed uint64, cfg CoreConfig, lens []uint32, srcs ...*simSource) *world {
	w := &world{
		now: time.Unix(1000, 0), core: NewCore(cfg), rng: rand.New(rand.NewPCG(seed, 1)), srcs: srcs,
		lens: lens, got: map[uint64]int{}, lost: map[uint64]Why{},
	}
	for i, s := range srcs {
		s.asked = map[uint64]int{}
		w.core.Step(w.now, Event{Kind: EvUp, Source: SourceID(i), RTT: s.rtt})
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, simEvent{w.now.Add(d), w.seq, do})
}

// run carries the transfer through and returns how long it took; it stops after limit.
func (w *world) run(limit time.Duration) time.Duration {
	if len(w.lens) > 0 {
		w.core.Step(w.now, Event{Kind: EvPlanned, First: 0, Lens: w.lens})
	}
	return w.runPlanned(limit, w.lens)
}

// runPlanned is run for chunks that the core has been told of.
func (w *world) runPlanned(limit time.Duration, lens []uint32) time.Duration {
	start := w.now
	w.lens = lens
	w.core.Step(w.now, Event{Kind: EvPlanDone})
	for w.now.Sub(start) < limit {
		actions, wake := w.next()
		w.carryOut(actions)
		if w.core.Done() {
			break
		}
		if w.queue.Len() == 0 && wake.IsZero() && !w.dropStalled() {
			break
		}
		w.advance(wake)
	}
	return w.now.Sub(start)
}

// next asks the core, and whether it foresees planning.
func (w *world) next() ([]Action, time.Time) {
	foreseen := w.core.mayPlan(w.now)
	actions, wake := w.core.Next(w.now)
	if w.core.search != nil && w.core.search.justPlanned {
		w.planned++
		if !foreseen {
			w.unseen++
		}
	}
	return actions, wake
}

// dropStalled ends the sources that answer nothing, as a source's stall timer does.
func (w *world) dropStalled() bool {
	for i, s := range w.srcs {
		if s.stalled && !s.closed {
			w.after(30*time.Second, func() { w.drop(SourceID(i)) })
			s.closed = true
			return true
		}
	}
	return len(w.core.actions) > 0
}

func (w *world) advance(wake time.Time) {
	if w.queue.Len() == 0 && wake.IsZero() {
		return
	}
	if w.queue.Len() == 0 || !wake.IsZero() && wake.Before(w.queue[0].at) {
		w.now = wake
		return
	}
	ev := heap.Pop(&w.queue).(simEvent)
	w.now = ev.at
	ev.do()
}

func (w *world) carryOut(actions []Action) {
	w.actions = append(w.actions, actions...)
	for _, a := range actions {
		switch a.Kind {
		case ActRequest:
			w.request(a)
		case ActCancel:
			w.cancel(a)
		case ActGiveUp:
			eachOrdinal(a.Ranges, func(ord uint64) { w.lost[ord] = a.Why })
		case ActDrop:
			w.drop(a.Source)
		case ActStat:
			w.stat(a.ID)
		case ActHash:
			w.hash(a.ID, a.Count)
		}
	}
}

func eachOrdinal(rs []Range, f func(ord uint64)) {
	for _, r := range rs {
		for ord := r.First; ord < r.First+uint64(r.Count); ord++ {
			f(ord)
		}
	}
}

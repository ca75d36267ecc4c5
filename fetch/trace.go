package fetch

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"
)

// traceVersion is the version of the trace's lines.
const traceVersion = 1

// maxTraceLine bounds a line of a trace that is read back.
const maxTraceLine = 64 << 20

// traceLine is one line of a trace: the first has V and Config, each other one has an event or the
// actions that Next gave.
type traceLine struct {
	V       int         `json:"v,omitempty"`
	Config  *CoreConfig `json:"config,omitempty"`
	At      int64       `json:"at"` // nanoseconds since the start
	Event   *Event      `json:"ev,omitempty"`
	Next    bool        `json:"next,omitempty"`
	Actions []Action    `json:"act,omitempty"`
}

// recorder is a core that writes what goes in and out to a trace. With a nil writer it only passes on.
type recorder struct {
	core  *Core
	enc   *json.Encoder
	buf   *bufio.Writer
	start time.Time
	err   error
}

func newRecorder(cfg CoreConfig, w io.Writer, start time.Time) *recorder {
	r := &recorder{core: NewCore(cfg), start: start}
	if w != nil {
		r.buf = bufio.NewWriterSize(w, 1<<16)
		r.enc = json.NewEncoder(r.buf)
		r.write(traceLine{V: traceVersion, Config: &cfg})
	}
	return r
}

func (r *recorder) write(l traceLine) {
	if r.err == nil {
		r.err = r.enc.Encode(l)
	}
}

func (r *recorder) step(now time.Time, ev Event) {
	if r.enc != nil {
		traced := ev // its own variable: without a trace, ev need not be on the heap
		r.write(traceLine{At: now.Sub(r.start).Nanoseconds(), Event: &traced})
	}
	r.core.Step(now, ev)
}

func (r *recorder) next(now time.Time) ([]Action, time.Time) {
	actions, wake := r.core.Next(now)
	if r.enc != nil {
		r.write(traceLine{At: now.Sub(r.start).Nanoseconds(), Next: true, Actions: actions})
	}
	return actions, wake
}

// close flushes the trace and returns the first error of writing it.
func (r *recorder) close() error {
	if r.buf == nil {
		return nil
	}
	return errors.Join(r.err, r.buf.Flush())
}

// ErrReplay says that a trace's events give other actions than the trace holds.
var ErrReplay = errors.New("replay gives other actions than the trace")

// Replay runs a trace's events through a new core and calls show for each decision, with the time
// since the start of the transfer. It fails with ErrReplay at the first decision that differs.
func Replay(trace io.Reader, show func(at time.Duration, a Action) error) error {
	return eachLine(trace, func(core *Core, now time.Time, l traceLine) error { return replayLine(core, now, l, show) })
}

// eachLine gives f the lines of a trace but the first, with a new core and each line's time.
func eachLine(trace io.Reader, f func(core *Core, now time.Time, l traceLine) error) error {
	sc := bufio.NewScanner(trace)
	sc.Buffer(make([]byte, 0, 1<<16), maxTraceLine)
	core, err := replayHead(sc)
	if err != nil {
		return err
	}
	start := time.Unix(0, 0)
	for n := 2; sc.Scan(); n++ {
		var l traceLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return fmt.Errorf("trace line %d: %w", n, err)
		}
		if err := f(core, start.Add(time.Duration(l.At)), l); err != nil {
			return fmt.Errorf("trace line %d: %w", n, err)
		}
	}
	return sc.Err()
}

func replayHead(sc *bufio.Scanner) (*Core, error) {
	var head traceLine
	if !sc.Scan() {
		return nil, fmt.Errorf("trace is empty: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(sc.Bytes(), &head); err != nil {
		return nil, fmt.Errorf("trace line 1: %w", err)
	}
	if head.V != traceVersion || head.Config == nil {
		return nil, fmt.Errorf("trace version %d; this program reads version %d", head.V, traceVersion)
	}
	return NewCore(*head.Config), nil
}

func replayLine(core *Core, now time.Time, l traceLine, show func(time.Duration, Action) error) error {
	if l.Event != nil {
		if err := checkEvent(core, *l.Event); err != nil {
			return err
		}
		core.Step(now, *l.Event)
		return nil
	}
	actions, _ := core.Next(now)
	return l.compare(actions, show)
}

// compare sees that decisions are the line's, and shows them.
func (l *traceLine) compare(actions []Action, show func(time.Duration, Action) error) error {
	if len(actions) != len(l.Actions) || len(actions) > 0 && !reflect.DeepEqual(actions, l.Actions) {
		return fmt.Errorf("%w: %v instead of %v", ErrReplay, actions, l.Actions)
	}
	for _, a := range actions {
		if err := show(time.Duration(l.At), a); err != nil {
			return err
		}
	}
	return nil
}

// Spent is what a transfer's decisions take of the processor.
type Spent struct {
	Listing  time.Duration // taking in what directories hold: what each file may bring is guessed, and it gets its place
	Deciding time.Duration // all else: what to do next, and taking in everything that happens besides
	Entries  int           // files and directories that were taken in
}

// TimeReplay is Replay, with the time by clock that the core took; reading and comparing the trace do not count, nor does the
// least that reading the clock takes.
func TimeReplay(trace io.Reader, clock func() time.Duration) (s Spent, err error) {
	reading := leastReading(clock)
	since := func(start time.Duration) time.Duration { return max(0, clock()-start-reading) }
	err = eachLine(trace, func(core *Core, now time.Time, l traceLine) error {
		if l.Event == nil {
			start := clock()
			actions, _ := core.Next(now)
			s.Deciding += since(start)
			return l.compare(actions, func(time.Duration, Action) error { return nil })
		}
		if err := checkEvent(core, *l.Event); err != nil {
			return err
		}
		start := clock()
		core.Step(now, *l.Event)
		if took := since(start); l.Event.Kind == EvStated {
			s.Listing += took
			s.Entries += len(l.Event.Files) + len(l.Event.Dirs)
		} else {
			s.Deciding += took
		}
		return nil
	})
	return s, err
}

// clockReadings are made to see what one takes.
const clockReadings = 1000

// leastReading is the shortest time between two readings of a clock that follow each other. A thread's own takes about a
// microsecond, which is as long as many a decision.
func leastReading(clock func() time.Duration) time.Duration {
	least, last := time.Hour, clock()
	for range clockReadings {
		now := clock()
		least, last = min(least, now-last), now
	}
	return least
}

// checkEvent refuses events that a run can't have produced.
func checkEvent(core *Core, ev Event) error {
	switch {
	case ev.Source < 0 || ev.Source >= maxSources:
		return fmt.Errorf("source %d out of range", ev.Source)
	case ofSource(ev.Kind) && int(ev.Source) >= len(core.sources):
		return fmt.Errorf("%s from source %d, which never came up", ev.Kind, ev.Source)
	case ev.Kind == EvFile && ev.File == nil:
		return errors.New("a file event without its file")
	case ev.Kind == EvDevice && ev.Speed == nil:
		return errors.New("a device event without its speed")
	case ev.Kind == EvPlanned && len(core.chunks) > 0 && ev.First <= core.chunks[len(core.chunks)-1].ordinal:
		return fmt.Errorf("chunk %d is planned after chunk %d", ev.First, core.chunks[len(core.chunks)-1].ordinal)
	}
	return nil
}

// ofSource says whether an event is about a source that is up.
func ofSource(k EventKind) bool {
	switch k {
	case EvDown, EvArrived, EvFailed, EvSample, EvFine:
		return true
	}
	return false
}

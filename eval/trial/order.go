package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// Config is what Run needs besides cells.
type Config struct {
	// Bench runs one cell; it must be set.
	Bench *Bench
	// File is where results are appended, and read to see what is done.
	File string
	// Seed fixes the order.
	Seed uint64
	// Budget ends the session: no run begins that may outlast it, with the
	// publisher's work before it as far as that can be told from earlier runs. One
	// that does outlast it is stopped and is no result. Zero means no end.
	Budget time.Duration
	// Rounds limits every scenario's rounds. Zero leaves them.
	Rounds int
	// Note is told what happens, a line at a time; it must be set.
	Note func(line string)
}

// task is one run to do.
type task struct {
	cell  scenarios.Cell
	round int
}

func (t task) key() string { return fmt.Sprintf("%s#%d", t.cell.Name(), t.round) }

// machine is how many shares the machine has: 1 to 16 divide it near enough.
const machine = 720720

func (t task) weight() int64 { return machine / int64(t.cell.Scenario.Share) }

// Run runs what is not done yet, and returns how many runs the budget left over.
func Run(ctx context.Context, cfg Config, list []*scenarios.Scenario) (left int, err error) {
	tasks, err := cfg.pending(list)
	if err != nil {
		return 0, err
	}
	cfg.Note(fmt.Sprintf("%d runs to do", len(tasks)))
	s, err := newSessions(cfg, len(tasks))
	if err != nil {
		return 0, err
	}
	run, stop := s.budgeted(ctx)
	defer stop()
	for _, t := range tasks {
		if s.broken() != nil || ctx.Err() != nil {
			break
		}
		if err := s.sem.Acquire(ctx, t.weight()); err != nil {
			break
		}
		if !cfg.fits(t, time.Since(s.begun)+s.publishing(t)) {
			s.sem.Release(t.weight())
			left++
			continue
		}
		s.group.Go(func() { s.one(run, t) })
	}
	s.group.Wait()
	left += s.cut
	if ctx.Err() != nil {
		return left, context.Cause(ctx)
	}
	return left, errors.Join(s.broken(), s.verdict())
}

// errBudget stops a run that outlasts the budget.
var errBudget = errors.New("the budget has ended")

func newSessions(cfg Config, total int) (*sessions, error) {
	earlier, err := result.Read(cfg.File)
	if err != nil {
		return nil, err
	}
	return &sessions{
		cfg: cfg, sem: semaphore.NewWeighted(machine), begun: time.Now(), total: total, published: newPublishing(earlier),
	}, nil
}

// budgeted is ctx that ends with the budget.
func (s *sessions) budgeted(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.cfg.Budget == 0 {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, s.begun.Add(s.cfg.Budget), errBudget)
}

// publishing estimates how long a task's publisher takes.
func (s *sessions) publishing(t task) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published.of(t.cell)
}

// verdict is an error if a dfetch failed or was wrong, or if nothing else was seen than failures.
func (s *sessions) verdict() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad == 0 && (s.failed == 0 || s.failed < s.done) {
		return nil
	}
	return fmt.Errorf("%d of %d runs failed or gave a wrong tree, %d of them dfetch's", s.failed, s.done, s.bad)
}

// fits tells whether a run may begin after so much of the budget.
func (cfg Config) fits(t task, spent time.Duration) bool {
	return cfg.Budget == 0 || spent+t.cell.Scenario.Box <= cfg.Budget
}

// sessions are runs under way.
type sessions struct {
	cfg   Config
	sem   *semaphore.Weighted
	group sync.WaitGroup
	begun time.Time

	mu          sync.Mutex
	published   *publishing
	total, done int
	cut         int // runs that the budget stopped
	failed, bad int // of the runs; and those of dfetch that failed or were wrong
	err         error
}

// one runs a task and writes its result.
func (s *sessions) one(ctx context.Context, t task) {
	defer s.sem.Release(t.weight())
	r := s.cfg.Bench.Run(ctx, t.cell, t.round)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil { // an interrupted run is no result
		if errors.Is(context.Cause(ctx), errBudget) {
			s.cut++
			s.cfg.Note("stopped, since the budget has ended: " + r.Cell)
		}
		return
	}
	s.published.add(r)
	s.done++
	if r.Outcome == result.Failed || r.Outcome == result.Wrong {
		s.failed++
		if strings.HasPrefix(r.Peer, "dfetch") {
			s.bad++
		}
	}
	if err := result.Append(s.cfg.File, r); err != nil && s.err == nil {
		s.err = err
	}
	s.cfg.Note(fmt.Sprintf("%4d/%d  %-9s %8.2f s  %s  %s", s.done, s.total, r.Outcome, r.Seconds, r.Cell, r.Reason))
}

func (s *sessions) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// lateTries is how often a run is made in which the emulator is late.
const lateTries = 3

// pending lists what the result file does not have, in the order of the runs.
func (cfg Config) pending(list []*scenarios.Scenario) ([]task, error) {
	earlier, err := result.Read(cfg.File)
	if err != nil {
		return nil, err
	}
	tasks := order(list, cfg.Seed, cfg.Rounds)
	wanted := map[string]result.Result{}
	for _, t := range tasks {
		var r result.Result
		r.Program, r.Setup = cfg.Bench.identity(t.cell)
		wanted[t.key()] = r
	}
	done, late := map[string]bool{}, map[string]int{}
	for _, r := range earlier {
		key := fmt.Sprintf("%s#%d", r.Cell, r.Round)
		switch {
		case !r.Alike(wanted[key]): // of another build or setup
		case r.Outcome == result.Gap || r.Outcome == result.Failed:
		case r.Outcome == result.Wrong:
			done[key] = true // however late
		case r.Late():
			late[key]++
			done[key] = done[key] || late[key] == lateTries
		default:
			done[key] = true
		}
	}
	var out []task
	for _, t := range tasks {
		if !done[t.key()] {
			out = append(out, t)
		}
	}
	return out, nil
}

// share is how many of a group's cells may run side by side.
func share(group []scenarios.Cell) int { return group[0].Scenario.Share }

// order is all tasks in the order of the runs. In a round, those that may share
// the machine come first: a run that wants it alone would have to wait for slow
// ones, and they for it.
func order(list []*scenarios.Scenario, seed uint64, limit int) (tasks []task) {
	for round := 1; ; round++ {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		var groups [][]scenarios.Cell
		for _, s := range list {
			if round <= s.Repeat && (limit == 0 || round <= limit) {
				groups = append(groups, slices.DeleteFunc(s.Groups(), func(g []scenarios.Cell) bool { return len(g) == 0 })...)
			}
		}
		if len(groups) == 0 {
			return tasks
		}
		r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		slices.SortStableFunc(groups, func(a, b []scenarios.Cell) int { return cmp.Compare(share(b), share(a)) })
		for _, g := range groups {
			r.Shuffle(len(g), func(i, j int) { g[i], g[j] = g[j], g[i] })
			for _, c := range g {
				tasks = append(tasks, task{c, round})
			}
		}
	}
}

package fetch

import (
	"context"
	"errors"
	"time"

	"dfetch/recipe"
	"dfetch/tree"
)

// Bounds of a rehearsal: it is to say what a transfer would do, not to be one.
const (
	rehearseNet      = 1500 * time.Millisecond // of asking the senders
	rehearseNetBytes = 4 << 20
	rehearseDisk     = 3 * time.Second // of searching this machine
)

// errRehearsed ends a rehearsal that has seen enough.
var errRehearsed = errors.New("rehearsed")

// Expectation is what a source is expected to bring, and how long that takes.
type Expectation struct {
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// SearchPlan says how the search of this machine was rehearsed.
type SearchPlan struct {
	Roots   []string `json:"roots"`             // directories that it begins in
	Ended   bool     `json:"ended"`             // it looked at all that is worth it; else more may be found
	Refused bool     `json:"refused,omitempty"` // the network was faster
	Ops     DiskOps  `json:"disk_ops"`
}

// rehearse tries what a transfer would do, with all decisions as they would be taken, and throws the bytes
// away. First the senders are asked for a little, for their rate. Then this machine is searched against a
// network of that rate, for some seconds.
func (t *transfer) rehearse(ctx context.Context, feed *nodeFeed, search SearchConfig, p *Plan) error {
	if p.MissingData == 0 {
		return t.explainPlan(ctx, feed, p, t)
	}
	rate, err := t.rehearseSenders(ctx, feed, p)
	if err != nil {
		return err
	}
	p.Rate = rate
	by, found := t, uint64(0)
	if !search.Off {
		if by, err = t.rehearseSearch(ctx, feed, search, p); err != nil {
			return err
		}
		found = p.Sources["disk"].Bytes
	}
	rest := uint64(p.MissingData) - min(uint64(p.MissingData), found)
	p.Sources["sender"] = Expectation{Bytes: rest, Seconds: secondsFor(rest, rate)}
	return t.explainPlan(ctx, feed, p, by)
}

// explainPlan says where the bytes of the files that are asked for would come from; by has searched for them.
func (t *transfer) explainPlan(ctx context.Context, feed *nodeFeed, p *Plan, by *transfer) error {
	if len(t.cfg.Explain) == 0 {
		return nil
	}
	survey, err := tree.NewSurvey(p.Dest, &t.root.Top)
	if err != nil {
		return err
	}
	defer survey.Close()
	by.explain.more = 0 // the rehearsal has counted some of them
	err = t.walk(ctx, feed, func(it recipe.Item) error {
		if it.Entry.Type != recipe.TypeFile {
			return nil
		}
		o := by.explain.open(it.Path, it.Entry.Size)
		if survey.Right(it) || len(it.Entry.Inline) > 0 {
			o.add(wholeOrigin(it.Entry))
		}
		return nil
	})
	why := by.whyNetwork()
	by.explain.expect(why)
	p.Explained, p.Unexplained = by.explain.explained(""), by.explain.more
	return err
}

func secondsFor(bytes uint64, rate float64) float64 {
	if rate <= 0 {
		return 0
	}
	return float64(bytes) / rate
}

// rehearseSenders measures the rate of all senders together; 0 if there is none, or none answers.
func (t *transfer) rehearseSenders(ctx context.Context, feed *nodeFeed, p *Plan) (float64, error) {
	if len(t.cfg.Endpoints) == 0 {
		return 0, nil
	}
	start := time.Now()
	t.loop.explain = nil // this is no search for anything
	if err := t.rehearseLoop(ctx, feed, p.Dest, rehearseNet, rehearseNetBytes); err != nil && !errors.Is(err, errNoSource) {
		return 0, err
	}
	brought, took := float64(t.stats.bySource()["sender"].Bytes), time.Since(start)
	if took > rehearseNet/4 {
		return brought / took.Seconds(), nil
	}
	// It was over too soon: round trips are most of it, and the core's estimate leaves them out.
	return max(t.loop.rec.core.netRate(time.Now()), brought/took.Seconds()), nil
}

// rehearseSearch searches this machine by a transfer that has no senders, and gives that back.
func (t *transfer) rehearseSearch(ctx context.Context, feed *nodeFeed, search SearchConfig, p *Plan) (*transfer, error) {
	cfg := t.cfg
	cfg.Search, cfg.Endpoints = search, nil
	alone := newTransfer(cfg)
	defer alone.intake.Close()
	alone.whole, alone.root = t.whole, t.root
	alone.index = beginIndex(&cfg.Search, t.root)
	defer alone.closeIndex()
	alone.rec = newRecorder(CoreConfig{
		Search: true, SearchDepth: searchDepth(), Index: search.hasIndex(), NoPressure: search.NoPressure, DiskOrder: search.Order, NetRate: p.Rate,
	}, nil, alone.start)
	alone.loop.rec, alone.loop.yields = alone.rec, true
	alone.loop.noMoreSources(errRehearsed)
	inner, cancel := context.WithCancelCause(ctx)
	s, err := alone.startSearch(inner, p.Dest, alone.place(p.Dest))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	alone.loop.search = s
	start := time.Now()
	err = alone.rehearseLoop(inner, feed, p.Dest, rehearseDisk, 0)
	took := time.Since(start).Seconds()
	ended := !alone.loop.rec.core.searching()
	p.Search = &SearchPlan{Ended: ended, Refused: alone.loop.rec.core.searchRefused()}
	for _, dir := range s.scope.Starts() {
		p.Search.Roots = append(p.Search.Roots, s.scope.Path(dir))
	}
	cancel(errRehearsed)
	alone.found = s.stop()
	alone.tellUnsearched()
	p.Search.Ops = alone.diskOps()
	p.Sources["disk"] = Expectation{Bytes: alone.stats.bySource()["disk"].Bytes, Seconds: took}
	return alone, err
}

// rehearseLoop runs the loop on what is missing, up to a time and a number of bytes, of which 0 is no limit.
func (t *transfer) rehearseLoop(ctx context.Context, feed *nodeFeed, dest string, most time.Duration, limit int64) error {
	survey, err := tree.NewSurvey(dest, &t.root.Top)
	if err != nil {
		return err
	}
	defer survey.Close()
	inner, cancel := context.WithTimeoutCause(ctx, most, errRehearsed)
	t.loop.write, t.loop.keep, t.loop.lost = func(claimed, []byte) {}, nil, func(claimed, Why) {}
	r := &rehearsal{survey: survey, limit: limit, p: &planner{
		root: t.root, nodes: feed, walkAll: t.walk, win: t.win, mail: planMail{post: t.loop.mail.post}, stats: t.stats, explain: &t.explain,
	}}
	if t.loop.search != nil {
		r.p.place, r.p.mail.recall, r.p.mail.known = t.loop.search.local(), t.loop.search.recall, t.win.learned
		r.p.above = t.above()
	}
	planned := make(chan error, 1)
	go func() { planned <- r.plan(inner) }()
	if t.loop.search != nil {
		go t.watchMachine(inner)
	}
	err = t.loop.run(inner)
	cancel()
	err = firstReal(err, <-planned)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// firstReal is the first error that is not an end that was meant.
func firstReal(errs ...error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, errRehearsed) && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// rehearsal plans the chunks of what is missing, without a tree.
type rehearsal struct {
	p      *planner
	survey *tree.Survey
	limit  int64 // bytes; 0: none
	bytes  int64
}

func (r *rehearsal) plan(ctx context.Context) error {
	err := r.p.walkAll(ctx, r.p.nodes, func(it recipe.Item) error {
		e := it.Entry
		if e.Type != recipe.TypeFile || len(e.Content.Refs) == 0 || r.survey.Right(it) {
			return nil
		}
		return r.file(ctx, it)
	})
	r.p.send()
	if errors.Is(err, errRehearsed) {
		err = nil
	}
	if err == nil {
		r.p.mail.post(Event{Kind: EvPlanDone})
	}
	return err
}

func (r *rehearsal) file(ctx context.Context, it recipe.Item) error {
	j := &job{file: &pending{path: it.Path, origins: r.p.explain.open(it.Path, it.Entry.Size)}, entry: *it.Entry, ordinal: it.Ordinal}
	r.p.announce(j)
	ord := j.ordinal
	return recipe.Chunks(ctx, r.p.nodes, it.Entry, func(off int64, ref recipe.Ref) error {
		if ref.Hole {
			j.file.origins.add(holeOrigin(ref))
			return nil
		}
		if r.bytes += ref.Bytes; r.limit > 0 && r.bytes > r.limit {
			return errRehearsed
		}
		want := wantOf(ord, ref)
		ord++
		return r.p.plan(ctx, want, place{file: j.file, off: off})
	})
}

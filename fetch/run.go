package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/sender"
	"dfetch/tree"
)

// Config says what to fetch, from where, to where. It is not modified after Run has begun.
type Config struct {
	Recipe    recipe.ID
	Endpoints []Endpoint
	// Local is the recipe, or a part of it, as a file; nil if only the senders have it.
	Local *recipe.File
	// CacheDir is where nodes of recipes are kept between runs; empty keeps them for this run only.
	CacheDir string
	// Dest is where the tree lands. A file recipe lands at Dest, or in it if it is a directory or
	// ends in a slash.
	Dest      string
	Fsync     tree.Fsync
	Checksum  bool
	Select    Selection // the part of the recipe that is wanted
	Search    SearchConfig
	Delete    bool
	MaxDelete int // as in tree.Config
	// MaxSize refuses recipes of a tree with more content bytes; 0 is no limit.
	MaxSize uint64
	// MaxRate bounds the bytes a second that are asked for; 0 is no limit.
	MaxRate float64
	// StallTimeout ends a source that brings nothing for so long; 0 is the source's default.
	StallTimeout time.Duration
	// Explain names files, or directories of files, whose bytes' origins the report tells, as slash paths below the
	// destination; "." is all. The first 1000 files are told.
	Explain []string
	// Trace gets the event log; nil for none.
	Trace io.Writer
	// Progress is told how it goes, five times a second; nil for no one. One call at a time.
	Progress func(Snapshot)
	// Log gets things to tell a person, one line each; nil drops them. Calls may overlap.
	Log func(text string)
	// Verbose: tell details too.
	Verbose bool
}

func (c *Config) detail(format string, args ...any) {
	if c.Verbose {
		c.log(format, args...)
	}
}

func (c *Config) log(format string, args ...any) {
	if c.Log != nil {
		c.Log(fmt.Sprintf(format, args...))
	}
}

// Errors that Run's caller decides by, beside those of tree, sources and recipe.
var (
	// ErrChanged: chunks are missing because their files changed at the source.
	ErrChanged = errors.New("files changed at the source")
	// ErrMissing: no source has some chunks.
	ErrMissing = errors.New("no source has some chunks")
	// ErrTooLarge: the recipe is over Config.MaxSize.
	ErrTooLarge = errors.New("recipe is larger than allowed")
)

// transfer is one run.
type transfer struct {
	cfg    Config
	start  time.Time
	stats  *counters
	rec    *recorder
	win    *window
	loop   *loop
	intake *sources.Intake
	dial   *dialers
	whole  *recipe.Root // as it came
	root   *recipe.Root // of the part that is wanted
	tree   *tree.Tree
	held   held
	index  *openedIndex // nil without one

	explain explainer
	result  tree.Result
	found   diskscan.Stats

	mu     sync.Mutex
	lost   map[Why]int      // chunks given up
	left   map[string]error // entries that need what is not selected
	nodeIn int64            // raw bytes of nodes received
}

// Run brings a tree to its destination. The report is made in any case; its Exit is left to the caller.
// When it fails or ctx ends, what was verified stays in staging, and the next Run goes on from there.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	t := newTransfer(cfg)
	err := t.run(ctx)
	t.intake.Close()
	if terr := t.rec.close(); terr != nil {
		err = errors.Join(err, fmt.Errorf("trace: %w", terr))
	}
	return t.report(err), err
}

func newTransfer(cfg Config) *transfer {
	t := &transfer{cfg: cfg, start: time.Now(), stats: newCounters(), lost: map[Why]int{}, left: map[string]error{}}
	t.rec = newRecorder(CoreConfig{
		MaxRate: cfg.MaxRate, SearchDepth: searchDepth(), Search: !cfg.Search.Off, Index: cfg.Search.hasIndex(), NoPressure: cfg.Search.NoPressure, DiskOrder: cfg.Search.Order,
	}, cfg.Trace, t.start)
	t.win = newWindow(maxWindow)
	t.loop = newLoop(t.rec, t.win, t.stats)
	t.explain.ask(cfg.Explain)
	t.loop.explain = &t.explain
	t.loop.write, t.loop.keep, t.loop.lost, t.loop.written = t.write, t.keep, t.giveUp, t.written
	t.intake = sources.NewIntake(sources.IntakeConfig{})
	t.dial = newDialers(&t.cfg, t.loop, t.intake)
	return t
}

// searchDepth is how many disk operations run at once, all devices together: hashing takes a processor, and more operations than
// there are processors gain next to nothing. Not more than any device serves.
func searchDepth() int { return min(max(2, runtime.GOMAXPROCS(0)), 16) }

func (t *transfer) run(ctx context.Context) error {
	return t.withNodes(ctx, t.fill)
}

// withNodes connects, gets the root, and calls do with the recipe's nodes at hand.
func (t *transfer) withNodes(ctx context.Context, do func(context.Context, *nodeFeed) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer t.dial.wg.Wait()
	defer cancel(errEnded)
	cache, err := t.openCache(recipe.BLAKE3)
	if err != nil {
		return err
	}
	defer func() { cache.close() }()
	first := cache // its loading goes on while a connection is made
	t.dial.early = func(ctx context.Context) []sender.NodesRequest { return t.earlyNodes(ctx, first) }
	t.dial.start(ctx)
	raw, err := t.awaitRoot(ctx)
	if err != nil {
		return err
	}
	if t.root, err = recipe.DecodeRoot(raw); err != nil {
		return err
	}
	t.whole = t.root
	if t.cfg.MaxSize > 0 && t.root.Counts.Bytes > t.cfg.MaxSize {
		return fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, t.root.Counts.Bytes, t.cfg.MaxSize)
	}
	t.index = beginIndex(&t.cfg.Search, t.root)
	defer t.closeIndex()
	if cache, err = t.cacheFor(cache, raw); err != nil {
		return err
	}
	feed := t.newFeed(cache.NodeCache)
	defer feed.wait()
	defer cancel(errEnded)
	feed.start(ctx)
	t.startNodes(ctx, feed)
	if t.root, err = t.cfg.Select.partOf(ctx, feed, t.whole); err != nil {
		return err
	}
	return do(ctx, feed)
}

// errEnded is the cause of contexts that end with the transfer.
var errEnded = errors.New("transfer has ended")

// earlyPatience is how long a sender is kept waiting for what the cache has: the answer saves a round trip.
const earlyPatience = 200 * time.Millisecond

// earlyNodes is what to ask for before the root is known: the directories, and the chunk lists should the
// recipe be of one file. Nothing, if the cache knows the recipe or takes long to say, or if more than one sender would send it.
func (t *transfer) earlyNodes(ctx context.Context, cache *nodeCache) []sender.NodesRequest {
	if t.cfg.Local != nil || len(t.cfg.Endpoints) != 1 {
		return nil
	}
	if !inTime(ctx, cache.Loaded(), earlyPatience) || cache.Has(t.cfg.Recipe) {
		return nil
	}
	root := []nodeAsk{{recipe.KindRoot, t.cfg.Recipe}}
	return []sender.NodesRequest{nodesRequest(root, allDirs), nodesRequest(root, allLists)}
}

// inTime says whether a channel is closed before patience is over.
func inTime(ctx context.Context, done <-chan struct{}, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// maxListStream is how many chunks a file has at most whose lists are streamed as a whole, 36 bytes a
// chunk: more would keep its data waiting.
const maxListStream = 64 << 10

// startNodes streams the recipe's directories, or the lists of its one file, if the cache has nothing of
// them.
func (t *transfer) startNodes(ctx context.Context, feed *nodeFeed) {
	top := &t.root.Top
	switch {
	case !top.Dir.ID.IsZero():
		if !feed.held(recipe.KindDir, top.Dir.ID) {
			feed.streamAll(ctx, t.cfg.Recipe, allDirs)
		}
	case top.Content.Level > 0 && t.root.Counts.Chunks <= maxListStream:
		if !feed.held(recipe.KindList, top.Content.Refs[0].ID) {
			feed.streamAll(ctx, t.cfg.Recipe, allLists)
		}
	}
}

// awaitRoot gives the recipe's root node, from the file or from the first sender that answers.
func (t *transfer) awaitRoot(ctx context.Context) ([]byte, error) {
	if t.cfg.Local != nil {
		return t.cfg.Local.RawRoot(), nil
	}
	for {
		t.dial.mu.Lock()
		change, ended := t.dial.change, t.dial.ended
		t.dial.mu.Unlock()
		select {
		case raw := <-t.dial.roots:
			return raw, nil
		default:
		}
		if ended != nil {
			return nil, ended
		}
		select {
		case raw := <-t.dial.roots:
			return raw, nil
		case <-change:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// nodeCache is the cache of nodes, in a directory of its own if there is no lasting one.
type nodeCache struct {
	*recipe.NodeCache
	temp string
}

// cacheFor is the cache for nodes of the recipe whose root came. c was opened before its hash was known.
func (t *transfer) cacheFor(c *nodeCache, raw []byte) (*nodeCache, error) {
	if t.root.Hash != recipe.BLAKE3 {
		next, err := t.openCache(t.root.Hash)
		if err != nil {
			return c, err
		}
		c.close()
		c = next
	}
	if err := c.Put(recipe.KindRoot, t.cfg.Recipe, raw); err != nil {
		t.cfg.log("node cache: %v; going on", err)
	}
	return c, nil
}

func (t *transfer) openCache(h recipe.Hash) (*nodeCache, error) {
	if t.cfg.CacheDir != "" {
		c, err := recipe.OpenNodeCache(t.cfg.CacheDir, recipe.CacheConfig{Hash: h})
		if err == nil {
			return &nodeCache{NodeCache: c}, nil
		}
		t.cfg.log("node cache: %v; going on without", err)
	}
	dir, err := os.MkdirTemp("", "dfetch-nodes-")
	if err != nil {
		return nil, err
	}
	c, err := recipe.OpenNodeCache(dir, recipe.CacheConfig{Hash: h})
	return &nodeCache{NodeCache: c, temp: dir}, err
}

func (c *nodeCache) close() {
	c.NodeCache.Close()
	if c.temp != "" {
		os.RemoveAll(c.temp)
	}
}

func (t *transfer) newFeed(cache *recipe.NodeCache) *nodeFeed {
	var local []recipe.Nodes
	if t.cfg.Local != nil {
		local = append(local, t.cfg.Local)
	}
	return newNodeFeed(cache, local, t.root.Mask, t.dial.nodes, func(n int) {
		t.mu.Lock()
		t.nodeIn += int64(n)
		t.mu.Unlock()
	})
}

// fill brings the tree to the destination once its root is known.
func (t *transfer) fill(ctx context.Context, feed *nodeFeed) error {
	dest, err := t.destination()
	if err != nil {
		return err
	}
	cfg := tree.Config{
		Dest: dest, Recipe: t.cfg.Recipe, Root: t.root, Nodes: feed, Fsync: t.cfg.Fsync, Checksum: t.cfg.Checksum,
		Delete: t.cfg.Delete, MaxDelete: t.cfg.MaxDelete, Protect: t.cfg.Select.protects,
		Walk: func(ctx context.Context, fn func(recipe.Item) error) error { return t.walk(ctx, feed, fn) },
		Log:  func(n tree.Note) { t.cfg.detail("%s: %s", n.Path, n.Text) },
	}
	if !t.cfg.Search.Off {
		cfg.Hold = t.held.hold
	}
	if t.tree, err = tree.Open(ctx, cfg); err != nil {
		return err
	}
	t.held.tree = t.tree
	if err := t.load(ctx, feed, dest); err != nil {
		if aerr := t.tree.Abort(); aerr != nil && !errors.Is(err, aerr) {
			err = errors.Join(err, aerr)
		}
		return err
	}
	t.result, err = t.tree.Finish(ctx)
	return errors.Join(err, t.lostError())
}

// walk goes through the selected entries.
func (t *transfer) walk(ctx context.Context, nodes recipe.Nodes, fn func(recipe.Item) error) error {
	return t.cfg.Select.walk(ctx, nodes, t.whole, t.leaveOut, fn)
}

// leaveOut notes an entry that can't be made because of what is not selected. Each walk meets it again.
func (t *transfer) leaveOut(path string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.left) < maxLeft {
		t.left[path] = err
	}
}

// maxLeft bounds the entries that are named for being left out.
const maxLeft = 1000

// load plans and fetches. When it returns, no source writes any more, or all has been written.
func (t *transfer) load(ctx context.Context, feed *nodeFeed, dest string) error {
	inner, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { cancel(errEnded); t.tree.EndPlanning() }()
	p := &planner{
		root: t.root, nodes: feed, walkAll: t.walkListed, tree: t.tree, win: t.win, mail: planMail{post: t.loop.mail.post}, stats: t.stats,
		checksum: t.cfg.Checksum, explain: &t.explain, buf: make([]byte, max(t.root.Profile.Max, 64<<10)),
	}
	if !t.cfg.Search.Off {
		s, err := t.startSearch(inner, dest, t.place(dest))
		if err != nil {
			return err
		}
		defer func() {
			cancel(errEnded)
			t.found = s.stop()
			t.tellUnsearched()
		}()
		t.loop.search = s
		p.place, p.mail.recall, p.mail.known = s.local(), s.recall, t.win.learned
		p.above = t.above()
	}
	wg.Go(func() {
		if err := t.plan(inner, p); err != nil {
			t.loop.fail(err)
		}
	})
	wg.Go(func() { t.showProgress(inner) })
	wg.Go(func() { t.watchMachine(inner) })
	err := t.loop.run(inner)
	if err != nil {
		t.dial.closeAll()
	}
	return err
}

// place is the absolute path, by names, of the directory that the entries' paths begin in.
func (t *transfer) place(dest string) []string {
	abs, err := filepath.Abs(dest)
	if err != nil {
		abs = dest
	}
	if t.root.Top.Type != recipe.TypeDir {
		abs = filepath.Dir(abs)
	}
	return append([]string{}, components(abs)...)
}

// above are the directories that a part of a tree lies in there: what it is made of may lie in a copy of the whole tree.
func (t *transfer) above() []string {
	part := "/" + t.cfg.Select.Path
	if t.root.Top.Type != recipe.TypeDir {
		part = filepath.Dir(part)
	}
	return components(part)
}

func (t *transfer) plan(ctx context.Context, p *planner) error {
	if err := t.reserve(ctx, p.nodes); err != nil {
		return err
	}
	return p.run(ctx)
}

// destination is where the recipe lands by the rules of cp.
func (t *transfer) destination() (string, error) {
	name := t.root.Top.Name
	if t.root.Top.Type == recipe.TypeDir {
		return t.cfg.Dest, nil
	}
	st, err := os.Stat(t.cfg.Dest)
	switch {
	case err == nil && st.IsDir(), strings.HasSuffix(t.cfg.Dest, "/"):
		return filepath.Join(t.cfg.Dest, name), nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	return t.cfg.Dest, nil
}

// write brings verified bytes to a place.
func (t *transfer) write(c claimed, data []byte) {
	if err := c.file.file.Write(c.off, data); err != nil {
		t.loop.fail(err)
	}
}

// keep says whether a place's file is right as it is.
func (t *transfer) keep(c claimed, seen tree.Seen) bool { return c.file.file.Keep(seen) }

// giveUp notes that bytes of a file will not come.
func (t *transfer) giveUp(c claimed, why Why) {
	t.mu.Lock()
	t.lost[why]++
	t.mu.Unlock()
	err := fmt.Errorf("chunk %d: %w", c.want.Ordinal, whyError(why))
	c.file.file.Fail(err)
	for _, p := range c.more {
		p.file.file.Fail(err)
	}
}

func whyError(why Why) error {
	switch why {
	case WhyChanged:
		return sources.ErrChanged
	case WhyCorrupt:
		return sources.ErrCorrupt
	default:
		return sources.ErrNotHeld
	}
}

// lostError says what was given up, by the reason that a caller decides by.
func (t *transfer) lostError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(t.left)) {
		errs = append(errs, fmt.Errorf("%w: %s: %w", tree.ErrPartial, path, t.left[path]))
	}
	if n := t.lost[WhyChanged]; n > 0 {
		errs = append(errs, fmt.Errorf("%w: %d chunks", ErrChanged, n))
	}
	if n := t.lost[WhyCorrupt] + t.lost[WhyNotHeld] + t.lost[WhyClosed] + t.lost[WhyCanceled]; n > 0 {
		errs = append(errs, fmt.Errorf("%w: %d chunks (%d of them came with wrong bytes)", ErrMissing, n, t.lost[WhyCorrupt]))
	}
	return errors.Join(errs...)
}

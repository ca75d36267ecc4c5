package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"dfetch/recipe"
)

// Bounds of the node feed.
const (
	maxNodeAsks  = 1 << 20 // node ids that wait to be asked for ahead of need; more are asked when needed
	nodeAskBatch = 256     // node ids in one request
	nodeAskers   = 4       // requests ahead of need under way at a time
)

// nodeAsk names a node.
type nodeAsk struct {
	kind recipe.Kind
	id   recipe.ID
}

// below says which nodes come beside those that were asked for.
type below uint8

const (
	noneBelow below = iota
	allDirs         // directory nodes below, in pre-order
	allLists        // chunk lists below, in pre-order; not those of what lies in directories
)

// kind is that of the nodes below.
func (b below) kind() recipe.Kind {
	if b == allLists {
		return recipe.KindList
	}
	return recipe.KindDir
}

// nodeStream fetches nodes from one source: each is verified and passed to fn.
type nodeStream func(ctx context.Context, asks []nodeAsk, with below, fn func(k recipe.Kind, id recipe.ID, raw []byte) error) error

// nodeFeed gives the nodes of a recipe: from local files if they hold them, else from a source, ahead
// of need where the need can be seen. What comes is kept in the cache. In steps:
//
//  1. When the cache lacks the top directory, everything below it is streamed, or else the lists of the
//     recipe's one file: one round trip in all, which may have begun before the root was known. If
//     what comes shows that the cache holds part of it, the stream is ended.
//  2. Whoever decodes a node tells Prefetch which nodes it refers to, and each directory node that
//     arrives has its children asked for: one round trip for each level of the tree.
//  3. Those that the cache lacks are asked for in batches, without waiting.
//  4. Node waits for one that is on its way, and asks for one that nobody asked for.
//
// It does not bound the cache; the recipe's limits bound what it can ask for.
type nodeFeed struct {
	local  []recipe.Nodes // looked at first; recipe.ErrNotFound means try the next
	cache  nodeStore
	mask   recipe.Mask
	source func(ctx context.Context) (nodeStream, error) // a live source; waits for one
	wire   func(n int)                                   // counts raw node bytes that came over the network

	mu     sync.Mutex
	coming map[recipe.ID]chan struct{} // closed when the node is in the cache, or will not come
	stream chan struct{}               // closed when the stream has ended; nil if none ran
	flows  recipe.Kind                 // of the nodes that the stream brings
	hoped  map[recipe.ID]struct{}      // of coming, what only the stream can bring: settled when it ends
	asks   []nodeAsk
	mail   chan struct{} // a token for each asker that may look at asks
	wg     sync.WaitGroup
}

// nodeStore keeps nodes.
type nodeStore interface {
	recipe.Nodes
	Has(id recipe.ID) bool
	Put(k recipe.Kind, id recipe.ID, raw []byte) error
}

func newNodeFeed(cache nodeStore, local []recipe.Nodes, mask recipe.Mask, source func(context.Context) (nodeStream, error), wire func(int)) *nodeFeed {
	return &nodeFeed{
		local: local, cache: cache, mask: mask, source: source, wire: wire,
		coming: map[recipe.ID]chan struct{}{}, hoped: map[recipe.ID]struct{}{},
		mail: make(chan struct{}, nodeAskers),
	}
}

// start runs the askers until ctx ends; wait waits for them.
func (f *nodeFeed) start(ctx context.Context) {
	for range nodeAskers {
		f.wg.Go(func() { f.ask(ctx) })
	}
}

func (f *nodeFeed) wait() { f.wg.Wait() }

// errWarm ends a stream of nodes many of which are in the cache.
var errWarm = errors.New("the cache holds part of the tree")

// streamAll asks for the root of the recipe and all of one kind below it at once.
func (f *nodeFeed) streamAll(ctx context.Context, root recipe.ID, with below) {
	done := make(chan struct{})
	f.mu.Lock()
	f.stream, f.flows = done, with.kind()
	f.mu.Unlock()
	f.wg.Go(func() {
		defer f.endStream(done)
		src, err := f.source(ctx)
		if err != nil {
			return // Node finds the same error when it asks
		}
		var seen, held int
		// A stream that breaks off is no failure: Node asks for what is missing.
		_ = src(ctx, []nodeAsk{{recipe.KindRoot, root}}, with, func(k recipe.Kind, id recipe.ID, raw []byte) error {
			if err := f.put(k, id, raw); err != nil {
				return err
			}
			f.children(k, raw, with.kind(), func(id recipe.ID) {
				seen++
				if f.held(with.kind(), id) {
					held++
				}
			})
			if held > 1 && held*5 > seen {
				return errWarm
			}
			return nil
		})
	})
}

// endStream notes that the stream has ended, and wakes those who wait for what it did not bring.
func (f *nodeFeed) endStream(done chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(done)
	for id := range f.hoped {
		f.settleLocked(id)
	}
}

// children calls fn for the nodes of one kind that a node which was checked refers to.
func (f *nodeFeed) children(k recipe.Kind, raw []byte, kind recipe.Kind, fn func(recipe.ID)) {
	// Bytes that don't decode are found when the walk comes to them.
	_ = recipe.Children(k, raw, f.mask, func(k recipe.Kind, id recipe.ID) error {
		if k == kind {
			fn(id)
		}
		return nil
	})
}

func (f *nodeFeed) put(k recipe.Kind, id recipe.ID, raw []byte) error {
	f.wire(len(raw))
	if err := f.cache.Put(k, id, raw); err != nil {
		return err
	}
	f.settle(id)
	return nil
}

// putOne is put for a node that was asked for by itself: its children are asked for next.
func (f *nodeFeed) putOne(k recipe.Kind, id recipe.ID, raw []byte) error {
	if err := f.put(k, id, raw); err != nil {
		return err
	}
	if k != recipe.KindDir {
		return nil
	}
	var ids []recipe.ID
	f.children(k, raw, recipe.KindDir, func(id recipe.ID) { ids = append(ids, id) })
	f.Prefetch(recipe.KindDir, ids)
	return nil
}

// settle wakes those who wait for a node.
func (f *nodeFeed) settle(id recipe.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settleLocked(id)
}

// settleLocked is settle with mu held.
func (f *nodeFeed) settleLocked(id recipe.ID) {
	if ch := f.coming[id]; ch != nil {
		close(ch)
		delete(f.coming, id)
		delete(f.hoped, id)
	}
}

// Prefetch asks for nodes that will be needed soon. It never blocks.
func (f *nodeFeed) Prefetch(k recipe.Kind, ids []recipe.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k == f.flows && f.streaming() {
		return
	}
	for _, id := range ids {
		if len(f.asks) < maxNodeAsks && f.coming[id] == nil && !f.held(k, id) {
			f.coming[id] = make(chan struct{})
			f.asks = append(f.asks, nodeAsk{k, id})
		}
	}
	f.wakeAsker()
}

// wakeAsker is called with mu held.
func (f *nodeFeed) wakeAsker() {
	if len(f.asks) == 0 {
		return
	}
	select {
	case f.mail <- struct{}{}:
	default:
	}
}

// streaming is called with mu held.
func (f *nodeFeed) streaming() bool {
	if f.stream == nil {
		return false
	}
	select {
	case <-f.stream:
		return false
	default:
		return true
	}
}

func (f *nodeFeed) held(k recipe.Kind, id recipe.ID) bool {
	for _, n := range f.local {
		if h, ok := n.(interface{ Has(recipe.ID) bool }); ok && h.Has(id) {
			return true
		}
	}
	return f.cache.Has(id)
}

// ask sends what Prefetch queued, in batches.
func (f *nodeFeed) ask(ctx context.Context) {
	for {
		select {
		case <-f.mail:
		case <-ctx.Done():
			return
		}
		for batch := f.takeAsks(); len(batch) > 0; batch = f.takeAsks() {
			if src, err := f.source(ctx); err == nil {
				_ = src(ctx, batch, noneBelow, f.putOne) // Node asks again for what did not come
			}
			for _, a := range batch {
				f.settle(a.id)
			}
		}
	}
}

func (f *nodeFeed) takeAsks() []nodeAsk {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.asks), nodeAskBatch)
	batch := slices.Clone(f.asks[:n])
	if f.asks = f.asks[n:]; len(f.asks) == 0 {
		f.asks = nil
	}
	f.wakeAsker()
	return batch
}

// Node gives a node's raw bytes.
func (f *nodeFeed) Node(ctx context.Context, k recipe.Kind, id recipe.ID) ([]byte, error) {
	raw, err := f.lookUp(ctx, k, id)
	if !errors.Is(err, recipe.ErrNotFound) {
		return raw, err
	}
	waited, err := f.await(ctx, k, id)
	if err != nil {
		return nil, err
	}
	if waited {
		if raw, err := f.lookUp(ctx, k, id); !errors.Is(err, recipe.ErrNotFound) {
			return raw, err
		}
	}
	return f.fetchOne(ctx, k, id)
}

func (f *nodeFeed) lookUp(ctx context.Context, k recipe.Kind, id recipe.ID) ([]byte, error) {
	for _, n := range f.local {
		if raw, err := n.Node(ctx, k, id); !errors.Is(err, recipe.ErrNotFound) {
			return raw, err
		}
	}
	return f.cache.Node(ctx, k, id)
}

// await waits for a node that is on its way. It says false when none is. One that has come since it was
// looked up needs no waiting: whoever would have told of it has done so.
func (f *nodeFeed) await(ctx context.Context, k recipe.Kind, id recipe.ID) (bool, error) {
	f.mu.Lock()
	if f.held(k, id) {
		f.mu.Unlock()
		return true, nil
	}
	ch := f.coming[id]
	if ch == nil && k == f.flows && f.streaming() {
		ch = make(chan struct{})
		f.coming[id] = ch
		f.hoped[id] = struct{}{}
	}
	f.mu.Unlock()
	if ch == nil {
		return false, nil
	}
	select {
	case <-ch:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return true, nil
}

func (f *nodeFeed) fetchOne(ctx context.Context, k recipe.Kind, id recipe.ID) ([]byte, error) {
	src, err := f.source(ctx)
	if err != nil {
		return nil, fmt.Errorf("recipe node %s: %w", id, err)
	}
	var got []byte
	err = src(ctx, []nodeAsk{{k, id}}, noneBelow, func(k recipe.Kind, id recipe.ID, raw []byte) error {
		got = append([]byte(nil), raw...)
		return f.putOne(k, id, raw)
	})
	if err == nil && got == nil {
		err = recipe.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("recipe node %s: %w", id, err)
	}
	return got, nil
}

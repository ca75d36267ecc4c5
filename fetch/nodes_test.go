package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/recipe"
)

// listFile is a recipe of one file with lists of two levels.
func listFile(t *testing.T) (recipe.MemNodes, *recipe.Root, recipe.ID) {
	nodes := recipe.MemNodes{}
	lb := recipe.NewListBuilder(nodes.Put(recipe.BLAKE3))
	const chunks = 5000
	for i := range uint64(chunks) {
		id := recipe.BLAKE3.Chunk(binary.LittleEndian.AppendUint64(nil, i))
		if err := lb.Add(recipe.Ref{ID: id, Bytes: 16 << 10, Chunks: 1}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := lb.Finish()
	if err != nil || list.Level < 2 {
		t.Fatalf("list of level %d, %v", list.Level, err)
	}
	root := &recipe.Root{
		Version: 1, Hash: recipe.BLAKE3, Profile: recipe.Rabin16, Mask: recipe.MaskPortable,
		Counts: recipe.Counts{Entries: 1, Files: 1, Bytes: chunks << 14, DataBytes: chunks << 14, Chunks: chunks},
		Top:    recipe.Entry{Name: "file", Type: recipe.TypeFile, Mode: 0o644, Size: chunks << 14, Content: list},
	}
	raw, err := root.Encode()
	if err != nil {
		t.Fatal(err)
	}
	id := recipe.RootID(raw, recipe.BLAKE3)
	nodes[id] = raw
	return nodes, root, id
}

// memStore is a node cache in memory.
type memStore struct {
	mu sync.Mutex
	recipe.MemNodes
}

func (s *memStore) Node(ctx context.Context, k recipe.Kind, id recipe.ID) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.MemNodes.Node(ctx, k, id)
}

func (s *memStore) Has(id recipe.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.MemNodes[id] != nil
}

func (s *memStore) Put(_ recipe.Kind, id recipe.ID, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.MemNodes[id] = raw
	return nil
}

// server gives nodes and counts.
type server struct {
	nodes    recipe.MemNodes
	mu       sync.Mutex
	requests int
	sent     int
}

func (s *server) stream(ctx context.Context, asks []nodeAsk, with below, fn func(recipe.Kind, recipe.ID, []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	for _, a := range asks {
		if err := s.send(ctx, a.kind, a.id, with, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) send(ctx context.Context, k recipe.Kind, id recipe.ID, with below, fn func(recipe.Kind, recipe.ID, []byte) error) error {
	raw, err := s.nodes.Node(ctx, k, id)
	if err != nil {
		return err
	}
	s.sent++
	if err := fn(k, id, raw); err != nil || with == noneBelow {
		return err
	}
	return recipe.Children(k, raw, recipe.MaskPortable, func(k recipe.Kind, id recipe.ID) error {
		if k != with.kind() {
			return nil
		}
		return s.send(ctx, k, id, with, fn)
	})
}

func TestListsOfOneFileAreStreamed(t *testing.T) {
	nodes, root, id := listFile(t)
	synctest.Test(t, func(t *testing.T) {
		srv := &server{nodes: nodes}
		f := newNodeFeed(&memStore{MemNodes: recipe.MemNodes{}}, nil, root.Mask, func(context.Context) (nodeStream, error) { return srv.stream, nil }, func(int) {})
		f.streamAll(t.Context(), id, allLists)
		chunks := 0
		err := recipe.Chunks(t.Context(), f, &root.Top, func(int64, recipe.Ref) error { chunks++; return nil })
		if err != nil || chunks != 5000 {
			t.Fatalf("%d chunks of 5000: %v", chunks, err)
		}
		f.wait()
		if srv.requests != 1 || srv.sent != len(nodes) {
			t.Errorf("%d nodes in %d requests, want %d in one", srv.sent, srv.requests, len(nodes))
		}
	})
}

// TestStreamOfKnownListsEnds: most lists are in the cache, so only the others are fetched.
func TestStreamOfKnownListsEnds(t *testing.T) {
	nodes, root, id := listFile(t)
	cache := recipe.MemNodes{}
	for id, raw := range nodes {
		if recipe.Kind(raw[0]) == recipe.KindList && raw[1] == 0 && id[0]%8 != 0 {
			cache[id] = raw
		}
	}
	known := len(cache)
	srv := &server{nodes: nodes}
	f := newNodeFeed(&memStore{MemNodes: cache}, nil, root.Mask, func(context.Context) (nodeStream, error) { return srv.stream, nil }, func(int) {})
	ctx, cancel := context.WithCancel(t.Context())
	f.start(ctx)
	f.streamAll(ctx, id, allLists)
	err := recipe.Chunks(ctx, f, &root.Top, func(int64, recipe.Ref) error { return nil })
	cancel()
	f.wait()
	if err != nil || srv.sent > len(nodes)-known+2 {
		t.Errorf("%d nodes were sent, %d of %d are known: %v", srv.sent, known, len(nodes), err)
	}
}

// TestStreamEndsAfterItsWaiterLeft: who waited for a streamed node has left when the stream breaks off. The next
// one asks for the node by itself, and so does one that is still there.
func TestStreamEndsAfterItsWaiterLeft(t *testing.T) {
	nodes, root, id := listFile(t)
	list := root.Top.Content.Refs[0].ID
	synctest.Test(t, func(t *testing.T) {
		srv := &server{nodes: nodes}
		breakOff := make(chan struct{})
		source := func(context.Context) (nodeStream, error) {
			return func(ctx context.Context, asks []nodeAsk, with below, fn func(recipe.Kind, recipe.ID, []byte) error) error {
				if with == noneBelow {
					return srv.stream(ctx, asks, with, fn)
				}
				<-breakOff
				return errors.New("broken off")
			}, nil
		}
		f := newNodeFeed(&memStore{MemNodes: recipe.MemNodes{}}, nil, root.Mask, source, func(int) {})
		f.streamAll(t.Context(), id, allLists)
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := f.Node(gone, recipe.KindList, list); !errors.Is(err, context.Canceled) {
			t.Fatalf("waited while the stream runs: %v", err)
		}
		stayed := make(chan error)
		go func() {
			_, err := f.Node(t.Context(), recipe.KindList, list)
			stayed <- err
		}()
		synctest.Wait()
		close(breakOff)
		if err := <-stayed; err != nil {
			t.Errorf("one that waited on: %v", err)
		}
		f.wait()
		if _, err := f.Node(t.Context(), recipe.KindList, list); err != nil || len(f.coming) > 0 {
			t.Errorf("%v; %d nodes are still waited for", err, len(f.coming))
		}
	})
}

// TestPrefetchAfterABrokenStream: a node that the stream did not bring, and that nobody waits for any more, can be
// asked for ahead of need.
func TestPrefetchAfterABrokenStream(t *testing.T) {
	nodes, root, id := listFile(t)
	list := root.Top.Content.Refs[0].ID
	synctest.Test(t, func(t *testing.T) {
		f := newNodeFeed(&memStore{MemNodes: recipe.MemNodes{}}, nil, root.Mask, func(ctx context.Context) (nodeStream, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, func(int) {})
		ctx, cancel := context.WithCancel(t.Context())
		f.streamAll(ctx, id, allLists)
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := f.Node(gone, recipe.KindList, list); !errors.Is(err, context.Canceled) {
			t.Fatalf("waited while the stream runs: %v", err)
		}
		cancel()
		f.wait()
		f.Prefetch(recipe.KindList, []recipe.ID{list})
		if len(f.asks) != 1 {
			t.Errorf("%d nodes are asked for, want 1 of %d", len(f.asks), len(nodes))
		}
	})
}

// TestEarlyNodes: nothing is asked for before the root is known, if the cache knows the recipe or several
// senders would answer.
func TestEarlyNodes(t *testing.T) {
	dir := t.TempDir()
	id := recipe.ID{1}
	one := []Endpoint{{Addrs: []string{"a:1"}}}
	early := func(endpoints []Endpoint) int {
		tr := &transfer{cfg: Config{Recipe: id, CacheDir: dir, Endpoints: endpoints}}
		cache, err := tr.openCache(recipe.BLAKE3)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.close()
		<-cache.Loaded()
		n := len(tr.earlyNodes(t.Context(), cache))
		if err := cache.Put(recipe.KindRoot, id, []byte("root")); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := early(append(one, one...)); n != 0 {
		t.Errorf("%d early requests to two senders", n)
	}
	if n := early(one); n != 0 {
		t.Errorf("%d early requests for a recipe that the cache knows", n)
	}
	dir = t.TempDir()
	if n := early(one); n != 2 {
		t.Errorf("%d early requests, want directories and lists", n)
	}
}

// TestSenderWaitsForTheCacheALittle: what is to be asked for early is not worth more time than it saves.
func TestSenderWaitsForTheCacheALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if loading := make(chan struct{}); inTime(t.Context(), loading, earlyPatience) || time.Since(start) != earlyPatience {
			t.Errorf("waited for %v", time.Since(start))
		}
		start = time.Now()
		loaded := make(chan struct{})
		time.AfterFunc(earlyPatience/2, func() { close(loaded) })
		if !inTime(t.Context(), loaded, earlyPatience) || time.Since(start) != earlyPatience/2 {
			t.Errorf("waited for %v", time.Since(start))
		}
	})
}

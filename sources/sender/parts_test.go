package sender

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

// lacking makes a want of a chunk that is held but for these spans.
func lacking(w sources.Want, data []byte, spans ...sources.Span) sources.Want {
	w.Patch = &sources.Patch{Missing: spans, Fill: func(chunk []byte) error {
		copy(chunk, data)
		for _, s := range spans {
			clear(chunk[s.Off : s.Off+s.Len])
		}
		return nil
	}}
	return w
}

// zoomer collects answers.
type zoomer struct {
	mu     sync.Mutex
	lists  map[uint64]recipe.FineList
	failed map[uint64]error
	change chan struct{}
}

func newZoomer() *zoomer {
	return &zoomer{lists: map[uint64]recipe.FineList{}, failed: map[uint64]error{}, change: make(chan struct{}, 1)}
}

func (z *zoomer) answer(w sources.Want, list recipe.FineList, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.lists[w.Ordinal], z.failed[w.Ordinal] = list, err
	signal(z.change)
}

// answered waits until n wants were answered.
func (z *zoomer) answered(tb testing.TB, n int) {
	tb.Helper()
	reach(tb, n, z.change, func() int {
		z.mu.Lock()
		defer z.mu.Unlock()
		return len(z.lists)
	})
}

// TestPartsComeAlone: of chunks that are nearly held, what is missing crosses the wire and little else.
func TestPartsComeAlone(t *testing.T) {
	w := flatWorld(t, []spec{{"file", noise(1, 4<<20)}})
	wants := slices.Clone(w.wants)
	for i := range wants {
		wants[i] = lacking(wants[i], w.data[uint64(i)], sources.Span{Off: 0, Len: 1}, sources.Span{Off: 5000, Len: 1000})
	}
	synctest.Test(t, func(t *testing.T) {
		sink := newCollector()
		c := linkRig(t, w, 10*time.Millisecond, 1<<20, ServerConfig{}, sink)
		check(t, c.Request(wants))
		sink.settled(t, len(wants))
		for ordinal, data := range w.data {
			if !bytes.Equal(sink.got[ordinal], data) {
				t.Fatalf("chunk %d is wrong: %v", ordinal, sink.failed[ordinal])
			}
		}
		missing := int64(len(wants) * 1001)
		if n := c.Stats().WireBytes; n > missing+missing/20+4096 {
			t.Errorf("%d bytes came for %d missing ones", n, missing)
		}
		if sink.twice > 0 {
			t.Errorf("%d chunks came twice", sink.twice)
		}
	})
}

// TestPartsAreCompressed: parts that compress cost less than they are long, from the first on.
func TestPartsAreCompressed(t *testing.T) {
	text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), 4000)
	w := flatWorld(t, []spec{{"file", text}})
	wants := slices.Clone(w.wants)
	for i := range wants {
		wants[i] = lacking(wants[i], w.data[uint64(i)], sources.Span{Off: 100, Len: wants[i].Len / 2})
	}
	synctest.Test(t, func(t *testing.T) {
		sink := newCollector()
		c := linkRig(t, w, 10*time.Millisecond, 1<<20, ServerConfig{}, sink)
		check(t, c.Request(wants))
		sink.settled(t, len(wants))
		if n := c.Stats().WireBytes; len(sink.got) != len(wants) || n > int64(len(text)/8) {
			t.Errorf("%d of %d chunks came, with %d bytes", len(sink.got), len(wants), n)
		}
	})
}

// TestBadPatchFails: the local bytes are not what they were taken for. The whole chunk can be asked
// for afterwards.
func TestBadPatchFails(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	bad := lacking(w.wants[3], w.data[4], sources.Span{Off: 10, Len: 10})
	check(t, c.Request([]sources.Want{bad, lacking(w.wants[5], w.data[5], sources.Span{Off: 10, Len: 10})}))
	sink.settled(t, 2)
	if !errors.Is(sink.failed[3], sources.ErrPatch) || sink.got[5] == nil {
		t.Fatalf("chunk 3: %v, want ErrPatch; chunk 5: %v", sink.failed[3], sink.failed[5])
	}
	bad.Patch = nil
	check(t, c.Request([]sources.Want{bad}))
	sink.settled(t, 3)
	if !bytes.Equal(sink.got[3], w.data[3]) {
		t.Fatalf("the whole chunk did not come: %v", sink.failed[3])
	}
}

func TestPartsAreCanceled(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{UploadLimit: 256 << 10})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	wants := slices.Clone(w.wants)
	for i := range wants[:190] {
		wants[i] = lacking(wants[i], w.data[uint64(i)], sources.Span{Off: 0, Len: wants[i].Len})
	}
	check(t, c.Request(wants))
	c.Cancel(wants[10:])
	sink.settled(t, len(wants))
	for _, want := range wants[200:] {
		if err := sink.failed[want.Ordinal]; !errors.Is(err, sources.ErrCanceled) {
			t.Fatalf("chunk %d: %v, want ErrCanceled", want.Ordinal, err)
		}
	}
}

func TestFineLists(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	for range 2 { // the second time from the cache
		c := r.dial(t, r.config(t, nil))
		z := newZoomer()
		check(t, c.Zoom(w.wants, z.answer))
		z.answered(t, len(w.wants))
		for _, want := range w.wants {
			list := recipe.FineListOf(recipe.BLAKE3, w.data[want.Ordinal])
			if got := z.lists[want.Ordinal]; z.failed[want.Ordinal] != nil || !reflect.DeepEqual(got, list) {
				t.Fatalf("chunk %d: %d entries, want %d: %v", want.Ordinal, len(got.Entries), len(list.Entries), z.failed[want.Ordinal])
			}
		}
		if n := c.Stats().ZoomBytes; n < int64(3<<10*fineCost()) || n > int64(8<<10*fineCost()) {
			t.Errorf("fine lists of 4 MiB took %d bytes", n)
		}
		check(t, c.Close())
		if err := c.Zoom(w.wants, z.answer); !errors.Is(err, sources.ErrClosed) {
			t.Errorf("Zoom after Close: %v", err)
		}
	}
}

// fineCost is about the bytes on the wire of a fine list of 1 KiB: an entry, and the sums of its blocks.
func fineCost() int { return 10 + 2*1024/recipe.FineBlock }

// TestZoomOfChangedFiles: no list is made of bytes that are not the chunk's, whatever the file's time says.
func TestZoomOfChangedFiles(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	path := filepath.Join(w.dir, "b-small")
	info, err := os.Stat(path)
	check(t, err)
	check(t, os.WriteFile(path, noise(9, 20_000), 0o644))
	check(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	check(t, os.Truncate(filepath.Join(w.dir, "c-large"), 5))
	c := r.dial(t, r.config(t, nil))
	z := newZoomer()
	check(t, c.Zoom(w.wants, z.answer))
	z.answered(t, len(w.wants))
	for i := range w.wants {
		changed := i < 2+193
		if err := z.failed[uint64(i)]; errors.Is(err, sources.ErrChanged) != changed || (err == nil) == changed {
			t.Fatalf("chunk %d: %v", i, err)
		}
	}
}

func TestPartsOfChangedFiles(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	check(t, os.Truncate(filepath.Join(w.dir, "b-small"), 5))
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	wants := slices.Clone(w.wants)
	for i := range wants {
		wants[i] = lacking(wants[i], w.data[uint64(i)], sources.Span{Off: 0, Len: 1})
	}
	check(t, c.Request(wants))
	sink.settled(t, len(wants))
	for i := range wants {
		if err := sink.failed[uint64(i)]; errors.Is(err, sources.ErrChanged) != (i < 2) || (err == nil) == (i < 2) {
			t.Fatalf("chunk %d: %v", i, err)
		}
	}
}

// TestZoomGoesAhead: a fine list waits for what is on the way, of which the link takes 4 MiB, and not for the
// other chunks that were asked for before.
func TestZoomGoesAhead(t *testing.T) {
	w := flatWorld(t, []spec{{"file", noise(1, 12<<20)}})
	synctest.Test(t, func(t *testing.T) {
		sink := newCollector()
		c := linkRig(t, w, 20*time.Millisecond, 1<<20, ServerConfig{}, sink)
		check(t, c.Request(w.wants[8:]))
		time.Sleep(50 * time.Millisecond)
		begin := time.Now()
		z := newZoomer()
		check(t, c.Zoom(w.wants[:8], z.answer))
		z.answered(t, 8)
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("fine lists took %v; the chunks take 12 s", took)
		}
		sink.settled(t, len(w.wants)-8)
	})
}

// TestServerWithoutFineLists: an older server is asked for whole chunks, and for no lists.
func TestServerWithoutFineLists(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	c.fine = false
	z := newZoomer()
	check(t, c.Zoom(w.wants, z.answer))
	for _, want := range w.wants {
		if !errors.Is(z.failed[want.Ordinal], sources.ErrNotHeld) {
			t.Fatalf("chunk %d: %v, want ErrNotHeld", want.Ordinal, z.failed[want.Ordinal])
		}
	}
}

func TestOutboxSplitsRequests(t *testing.T) {
	o := newOutbox()
	o.zoom([]sources.Range{{First: 0, Count: wire.MaxZoom + 10}, {First: 1 << 20, Count: 5}})
	var parts []wire.Part
	for i := range 2*wire.MaxPartChunks + 1 {
		parts = append(parts, wire.Part{Ordinal: uint64(i), Spans: make([]wire.Span, 20)})
		for j := range parts[i].Spans {
			parts[i].Spans[j] = wire.Span{Off: uint32(400 * j), Len: 300}
		}
	}
	o.get([]sources.Range{{First: 7, Count: 1}}, parts)
	r := wire.NewReader(bytes.NewReader(o.take()), 0)
	zooms, asked, gets := 0, 0, 0
	for {
		kind, n, err := r.Next()
		if err != nil {
			break
		}
		body, err := r.Control()
		check(t, err)
		var ordinals wire.Ordinals
		switch kind {
		case wire.TypeZoom:
			check(t, wire.Decode(body, &ordinals))
			zooms++
			if n := countOf(unflatten(ordinals.Ranges)); n > wire.MaxZoom {
				t.Errorf("ZOOM of %d chunks", n)
			}
		case wire.TypeGetParts:
			got, _, err := wire.DecodeParts(body)
			check(t, err)
			asked += len(got)
			if n > wire.MaxPartsTable {
				t.Errorf("GET_PARTS of %d bytes", n)
			}
		case wire.TypeGet:
			gets++
		}
	}
	if zooms != 2 || asked != len(parts) || gets != 1 {
		t.Errorf("%d ZOOM, %d of %d parts, %d GET", zooms, asked, len(parts), gets)
	}
}

// TestFineListsHaveASize: the server's cache counts a list's entries and what lies beside them.
func TestFineListsHaveASize(t *testing.T) {
	c := recipe.NewRecent[recipe.FineList](10_000)
	list := recipe.FineList{Entries: make([]recipe.FineEntry, 30), Blocks: make([]uint16, 240)}
	kept := 0
	for i := range byte(100) {
		c.Add(recipe.ID{i}, list, fineSize(list))
	}
	for i := range byte(100) {
		if _, ok := c.Get(recipe.ID{i}); ok {
			kept++
		}
	}
	if kept != 10_000/(200+300+480) {
		t.Errorf("%d lists are kept", kept)
	}
}

// TestPartsOutsideTheChunk fail, and the connection goes on.
func TestPartsOutsideTheChunk(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	long := lacking(w.wants[1], w.data[1], sources.Span{Off: 16 << 10, Len: 1})
	long.Len = 32 << 10
	check(t, c.Request([]sources.Want{long, lacking(w.wants[2], w.data[2], sources.Span{Off: 0, Len: 10})}))
	sink.settled(t, 2)
	if !errors.Is(sink.failed[1], sources.ErrNotHeld) || sink.got[2] == nil {
		t.Fatalf("chunk 1: %v, want ErrNotHeld; chunk 2: %v", sink.failed[1], sink.failed[2])
	}
}

package sourcetest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"dfetch/sources"
)

// fills counts how often each patch was filled.
type fills struct {
	mu    sync.Mutex
	count map[uint64]int
}

func (f *fills) fill(ordinal uint64, _ []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = make(map[uint64]int)
	}
	f.count[ordinal]++
	return nil
}

// patchedChunks come whole, whether the source fetches parts or not.
func patchedChunks(b *bench) {
	var f fills
	b.open(Faults{})
	b.request(b.chunks.Patched(1, f.fill))
	if n := b.source.Stats().Outstanding; n > b.chunks.Bytes() || n == 0 {
		b.Errorf("%d bytes are outstanding of %d", n, b.chunks.Bytes())
	}
	b.all(b.settle())
	for ordinal, n := range f.count {
		if n != 1 {
			b.Errorf("the patch of chunk %d was filled %d times", ordinal, n)
		}
	}
}

var errFill = errors.New("local file is gone")

// patchedBadly has patches that do not make the chunk: it is not delivered, and comes when it is asked for whole.
func patchedBadly(b *bench) {
	bad := func(ordinal uint64) bool { return ordinal%5 < 2 }
	b.open(Faults{})
	b.request(b.chunks.Patched(2, func(ordinal uint64, chunk []byte) error {
		switch ordinal % 5 {
		case 0:
			return errFill
		case 1:
			copy(chunk, bytes.Repeat([]byte{1}, len(chunk)))
		}
		return nil
	}))
	s := b.settle()
	var again []sources.Want
	for ordinal, err := range s.Failed {
		if !bad(ordinal) || !errors.Is(err, sources.ErrPatch) {
			b.Errorf("chunk %d: %v, want ErrPatch for bad patches only", ordinal, err)
		}
		again = append(again, b.chunks.Wants[ordinal])
	}
	if got := b.source.Stats().Rejected; got != 0 {
		b.Errorf("%d chunks were rejected; whose fault a bad patch is can't be told", got)
	}
	b.sink.Again(again)
	if len(again) > 0 {
		b.request(again)
	}
	b.all(b.settle())
}

func patchedFaults(b *bench) {
	b.open(Faults{Seed: 8, Corrupt: 0.1, Short: 0.1, Duplicate: 0.1, Unasked: 0.1, Refuse: 0.05, Reorder: true})
	b.request(b.chunks.Patched(3, new(fills).fill))
	s := b.settle()
	if s.Got == 0 || len(s.Failed) == 0 {
		b.Errorf("%d came and %d failed", s.Got, len(s.Failed))
	}
	allowed := []error{sources.ErrPatch, sources.ErrCorrupt, sources.ErrNotHeld}
	for ordinal, err := range s.Failed {
		if !slices.ContainsFunc(allowed, func(want error) bool { return errors.Is(err, want) }) {
			b.Errorf("chunk %d: %v", ordinal, err)
		}
	}
}

func patchedCancels(b *bench) {
	b.open(Faults{})
	wants := b.chunks.Patched(4, new(fills).fill)
	b.request(wants)
	b.source.Cancel(wants[suiteChunks/2:])
	s := b.settle()
	b.only(s, sources.ErrCanceled)
	if s.Got < suiteChunks/2 {
		b.Errorf("%d chunks came, %d were not canceled", s.Got, suiteChunks/2)
	}
}

func patchedStalls(b *bench) {
	b.open(Faults{StallAfter: 50})
	b.request(b.chunks.Patched(5, new(fills).fill))
	b.only(b.settle(), sources.ErrStalled)
}

func patchedCloses(b *bench) {
	b.open(Faults{StallAfter: 50})
	b.request(b.chunks.Patched(6, new(fills).fill))
	time.Sleep(suiteRTT)
	if err := b.source.Close(); err != nil {
		b.Error(err)
	}
	b.only(b.sink.Summary(), sources.ErrClosed)
}

// zoom asks for all fine lists; false if the source has none to give.
func (b *bench) zoom(f Faults) bool {
	b.open(f)
	z, ok := b.source.(sources.Zoomer)
	if !ok {
		return false
	}
	b.zoomed = true
	if err := z.Zoom(b.chunks.Wants, b.sink.Fine); err != nil {
		b.Fatal(err)
	}
	return true
}

// zoomedAll waits until every zoom is answered.
func (b *bench) zoomedAll() Summary {
	return b.until(func(s Summary) bool { return len(s.Zoomed) == len(b.chunks.Wants) })
}

// zooms asks for lists and chunks at once.
func zooms(b *bench) {
	if !b.zoom(Faults{}) {
		return
	}
	b.request(b.chunks.Wants)
	for ordinal, err := range b.zoomedAll().Zoomed {
		if err != nil {
			b.Errorf("chunk %d: %v", ordinal, err)
		}
	}
	b.all(b.settle())
	if s := b.source.Stats(); s.ZoomBytes == 0 || s.ZoomBytes > b.chunks.Bytes()/20 {
		b.Errorf("%d bytes of fine lists for chunks of %d", s.ZoomBytes, b.chunks.Bytes())
	}
}

func zoomsFaults(b *bench) {
	if !b.zoom(Faults{Seed: 9, Refuse: 0.1, Corrupt: 0.1, Reorder: true}) {
		return
	}
	failed := 0
	for ordinal, err := range b.zoomedAll().Zoomed {
		if err != nil {
			failed++
		}
		if err != nil && !errors.Is(err, sources.ErrNotHeld) {
			b.Errorf("chunk %d: %v", ordinal, err)
		}
	}
	if failed == 0 || failed == suiteChunks {
		b.Errorf("%d of %d zooms failed", failed, suiteChunks)
	}
}

func zoomsStalled(b *bench) {
	if b.zoom(Faults{StallAfter: 50}) {
		b.zoomsEnd(b.zoomedAll(), sources.ErrStalled)
	}
}

func zoomsPeerCloses(b *bench) {
	if b.zoom(Faults{CloseAfter: 50}) {
		b.zoomsEnd(b.zoomedAll(), nil)
	}
}

func zoomsCloses(b *bench) {
	if !b.zoom(Faults{StallAfter: 50}) {
		return
	}
	time.Sleep(2 * suiteRTT)
	synctest.Wait()
	if err := b.source.Close(); err != nil {
		b.Error(err)
	}
	b.zoomsEnd(b.sink.Summary(), sources.ErrClosed)
}

// zoomsEnd checks that some lists came, and that the others failed with an error; nil is any.
func (b *bench) zoomsEnd(s Summary, want error) {
	b.Helper()
	failed := 0
	for ordinal, err := range s.Zoomed {
		if err == nil {
			continue
		}
		failed++
		if want != nil && !errors.Is(err, want) {
			b.Fatalf("chunk %d: %v, want %q", ordinal, err, want)
		}
	}
	if failed == 0 || failed == suiteChunks {
		b.Errorf("%d of %d zooms failed", failed, suiteChunks)
	}
	_ = b.source.Close()
	if err := b.source.(sources.Zoomer).Zoom(b.chunks.Wants[:1], b.sink.Fine); !errors.Is(err, sources.ErrClosed) {
		b.Errorf("Zoom after the end: %v, want ErrClosed", err)
	}
}

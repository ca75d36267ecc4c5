package sender

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"dfetch/sources"
	"dfetch/sources/wire"
)

const (
	// streamWindow is how far back a piece of a stream may refer.
	streamWindow = 1 << 20
	// maxStreams is how many connections of a server have a stream, which takes up to 10 MB. The others compress each run
	// alone.
	maxStreams = 16
	// idleStream is how long a stream was not used when another connection may have its place.
	idleStream = 10 * time.Second

	// How hard a stream compresses: below these delivery rates, in bytes a second, a processor has time for a better
	// level than the fastest.
	betterBelow  = 2 << 20
	defaultBelow = 8 << 20
	// A stream whose making takes more of the time than that, over spentOver, gets a faster level, for as long as it lasts.
	mostSpent = 0.4
	spentOver = time.Second
)

// streams are the places of a server's streams.
type streams struct {
	mu   sync.Mutex
	used map[*packStream]time.Time
}

// take gives a stream a place, or lets it have the one that it has. A place that has been idle is taken away from its owner.
func (p *streams) take(s *packStream, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.used[s]; !ok && len(p.used) >= maxStreams && !p.evict(now) {
		return false
	}
	if p.used == nil {
		p.used = make(map[*packStream]time.Time)
	}
	p.used[s] = now
	return true
}

// evict takes the place that was idle for longest, if it was for long enough. p.mu is held.
func (p *streams) evict(now time.Time) bool {
	var idle *packStream
	for s, at := range p.used {
		if now.Sub(at) >= idleStream && (idle == nil || at.Before(p.used[idle])) {
			idle = s
		}
	}
	if idle == nil {
		return false
	}
	idle.enc.Store(nil)
	delete(p.used, idle)
	return true
}

func (p *streams) drop(s *packStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, s)
}

// packStream is the server's end of a connection's zstd stream. What a connection sends on a slow line resembles what
// it sent before, and a run of chunks is short: with a window that goes on from run to run, text and programs take a
// quarter less. A run that does not shrink goes into the stream all the same, at three bytes more for each 128 KiB.
// When the level changes, or after its place was taken, the stream goes on with a new zstd frame and an empty window.
//
// The zero value never opens. It is used by one goroutine, but for what streams does to it.
type packStream struct {
	places *streams // of the server; nil if the client reads no streams

	enc   atomic.Pointer[zstd.Encoder] // nil before the first piece, and when the place was taken
	level zstd.EncoderLevel            // of enc
	begun bool                         // the client is inside a zstd frame
	out   *sources.Buffer              // the piece being made

	most  zstd.EncoderLevel // what the processor has time for; 0: it has not been seen yet
	since time.Time         // start of the present look at that
	spent time.Duration     // on packing, since then
}

// pack makes the stream's next piece, behind a buffer's head room, for a network of that rate; nil if this connection has
// no stream now. It ends at the end of a block, so that nothing of the run waits for the next one.
func (s *packStream) pack(raw []byte, rate uint64) *sources.Buffer {
	start := time.Now()
	if s.places == nil || !s.places.take(s, start) {
		return nil
	}
	s.out = sources.NewBuffer(headRoom + len(raw))
	s.out.Data = s.out.Data[:headRoom]
	enc := s.encoder(rate)
	_, err := enc.Write(raw)
	if err == nil {
		err = enc.Flush()
	}
	if err != nil { // writing to memory does not fail, so the encoder's state is not to be trusted
		s.close()
		s.places = nil
		s.out.Release()
		return nil
	}
	s.note(start, time.Now())
	return s.out
}

// lastBlock ends a zstd frame: an empty raw block that says it is the last.
var lastBlock = []byte{1, 0, 0}

// encoder is the encoder for a rate. A new one begins a new zstd frame.
func (s *packStream) encoder(rate uint64) *zstd.Encoder {
	level, enc := s.levelFor(rate), s.enc.Load()
	if enc != nil && level == s.level {
		return enc
	}
	if s.begun {
		s.out.Data = append(s.out.Data, lastBlock...)
	}
	enc = newStreamEncoder(s, level)
	s.enc.Store(enc)
	s.level, s.begun = level, true
	return enc
}

// note keeps watch over what packing takes of the time.
func (s *packStream) note(start, end time.Time) {
	if s.since.IsZero() {
		s.since = start
	}
	s.spent += end.Sub(start)
	all := end.Sub(s.since)
	if all < spentOver {
		return
	}
	if s.spent.Seconds() > mostSpent*all.Seconds() && s.level > zstd.SpeedFastest {
		s.most = s.level - 1
	}
	s.since, s.spent = end, 0
}

// levelFor is how hard to compress for a rate. It goes harder only when the rate is well below the limit, as each change
// empties the window.
func (s *packStream) levelFor(rate uint64) zstd.EncoderLevel {
	level := levelOf(rate)
	if s.enc.Load() != nil && level > s.level {
		level = max(s.level, levelOf(2*rate))
	}
	if s.most > 0 {
		level = min(level, s.most)
	}
	return level
}

func levelOf(rate uint64) zstd.EncoderLevel {
	switch {
	case 0 < rate && rate < betterBelow:
		return zstd.SpeedBetterCompression
	case 0 < rate && rate < defaultBelow:
		return zstd.SpeedDefault
	}
	return zstd.SpeedFastest
}

func newStreamEncoder(w io.Writer, level zstd.EncoderLevel) *zstd.Encoder {
	return must(zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithWindowSize(streamWindow),
		zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true)))
}

// Write takes what the encoder makes.
func (s *packStream) Write(p []byte) (int, error) {
	s.out.Data = append(s.out.Data, p...)
	return len(p), nil
}

// close gives the place back.
func (s *packStream) close() {
	if s.places != nil {
		s.places.drop(s)
	}
}

// unpackStream is the client's end. The zero value is at the start of the stream. It is used by one goroutine, and not
// any more after an error.
type unpackStream struct {
	dec *zstd.Decoder // nil before the first piece
	in  []byte        // what is left of a piece
}

// unpack fills dst with what the next piece holds. One that holds less, or has more blocks than that takes, is an ErrFrame. What the
// last block has too much goes to the next piece, whose chunks have the wrong hash then.
func (s *unpackStream) unpack(dst, piece []byte) error {
	s.in = piece
	if s.dec == nil {
		s.dec = must(zstd.NewReader(s, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(streamWindow), zstd.WithDecoderLowmem(true)))
	}
	if n, err := io.ReadFull(s.dec, dst); err != nil {
		return fmt.Errorf("zstd stream: %d bytes of %d, then %v: %w", n, len(dst), err, wire.ErrFrame)
	}
	if len(s.in) > 0 {
		return fmt.Errorf("zstd stream: %d bytes of a piece are left behind %d: %w", len(s.in), len(dst), wire.ErrFrame)
	}
	return nil
}

// Read gives the decoder what is left of the piece.
func (s *unpackStream) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

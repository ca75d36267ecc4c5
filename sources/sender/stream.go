package sender

import (
	"fmt"
	"io"

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
)

// packStream is the server's end of a connection's zstd stream. What a connection sends on a slow line resembles what
// it sent before, and a run of chunks is short: with a window that goes on from run to run, text and programs take a
// quarter less. A run that does not shrink goes into the stream all the same, at three bytes more for each 128 KiB.
//
// The zero value never opens. It is used by one goroutine.
type packStream struct {
	slots  chan struct{} // of the server; nil if the client reads no streams
	enc    *zstd.Encoder // nil before the first piece
	out    *sources.Buffer
	broken bool
}

// open says whether pieces can be made, and begins the stream if there is room for one more. The rate of the moment
// decides how hard it compresses.
func (s *packStream) open(rate uint64) bool {
	if s.enc != nil || s.slots == nil || s.broken {
		return s.enc != nil && !s.broken
	}
	select {
	case s.slots <- struct{}{}:
		s.enc = newStreamEncoder(s, rate)
		return true
	default:
		return false
	}
}

func newStreamEncoder(w io.Writer, rate uint64) *zstd.Encoder {
	level := zstd.SpeedDefault
	if slowLine(rate) {
		level = zstd.SpeedBetterCompression
	}
	return must(zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithWindowSize(streamWindow),
		zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true)))
}

// pack makes the stream's next piece, behind a buffer's head room. It ends at the end of a block, so that nothing of
// the run waits for the next one.
func (s *packStream) pack(raw []byte) *sources.Buffer {
	s.out = sources.NewBuffer(headRoom + len(raw))
	s.out.Data = s.out.Data[:headRoom]
	_, err := s.enc.Write(raw)
	if err == nil {
		err = s.enc.Flush()
	}
	if err != nil { // writing to memory does not fail, so the encoder's state is not to be trusted
		s.broken = true
		s.out.Release()
		return nil
	}
	return s.out
}

// Write takes what the encoder makes.
func (s *packStream) Write(p []byte) (int, error) {
	s.out.Data = append(s.out.Data, p...)
	return len(p), nil
}

// close gives the server's slot back.
func (s *packStream) close() {
	if s.enc != nil {
		<-s.slots
	}
}

// unpackStream is the client's end. The zero value is at the start of the stream. It is used by one goroutine, and not
// any more after an error.
type unpackStream struct {
	dec *zstd.Decoder // nil before the first piece
	in  []byte        // what is left of a piece
}

// unpack fills dst with what the next piece holds. A piece with less or, in blocks that were not needed, more is an ErrFrame.
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

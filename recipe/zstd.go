package recipe

import (
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the largest zstd window that a decoder accepts.
const maxWindow = 1 << 20

// Nodes that are published are compressed once and read often; those of a cache are written by each fetch.
var (
	nodeEncoder  = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedDefault) })
	cacheEncoder = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedFastest) })
)

func newEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(maxWindow),
		zstd.WithEncoderConcurrency(min(4, runtime.GOMAXPROCS(0))),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return enc
}

var nodeDecoder = sync.OnceValue(func() *zstd.Decoder {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderMaxMemory(MaxNode),
		zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderConcurrency(min(4, runtime.GOMAXPROCS(0))),
		zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return dec
})

// EncodeNode is a node as it lies in files and travels: a zstd frame, or the raw bytes themselves if
// a frame would not be smaller. Which of the two it is shows from its length.
func EncodeNode(raw []byte) []byte { return encodeNode(nodeEncoder(), raw) }

func encodeNode(with *zstd.Encoder, raw []byte) []byte {
	enc := with.EncodeAll(raw, make([]byte, 0, len(raw)))
	if len(enc) < len(raw) {
		return enc
	}
	return raw
}

// DecodeNode undoes EncodeNode. The result may be enc itself. Nothing is checked against an id.
func DecodeNode(enc []byte, rawLen int) ([]byte, error) {
	switch {
	case rawLen > MaxNode:
		return nil, over("node", "", MaxNode, rawLen)
	case rawLen < 1 || len(enc) > rawLen:
		return nil, bad("", "node of %d bytes in %d", rawLen, len(enc))
	case len(enc) == rawLen:
		return enc, nil
	}
	raw, err := nodeDecoder().DecodeAll(enc, make([]byte, 0, rawLen))
	if err != nil {
		return nil, &FormatError{What: "node does not decompress", Err: err}
	}
	if len(raw) != rawLen {
		return nil, bad("", "node of %d bytes where %d are declared", len(raw), rawLen)
	}
	return raw, nil
}

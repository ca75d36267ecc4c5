package sender

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"dfetch/recipe"
	"dfetch/sources/wire"
)

// zstdMin is the size from which a node is worth compressing.
const zstdMin = 512

// One encoder and one decoder serve all connections: EncodeAll and DecodeAll keep no state.
var (
	encoder = newEncoder()
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderMaxWindow(1<<20), zstd.WithDecoderMaxMemory(recipe.MaxChunk)))
)

// newEncoder makes an encoder that has done its first work, so that what it makes lazily belongs to
// no test's bubble.
func newEncoder() *zstd.Encoder {
	e := must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false)))
	e.EncodeAll([]byte("first"), nil)
	return e
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encodeNode makes a NODE frame.
func encodeNode(seq uint32, ref wire.NodeRef, raw []byte) []byte {
	n := wire.Node{Seq: seq, Ref: ref, RawLen: uint32(len(raw))}
	payload := raw
	if len(raw) >= zstdMin {
		if packed := encoder.EncodeAll(raw, nil); len(packed) < len(raw)-len(raw)/16 {
			n.Enc, payload = wire.EncZstd, packed
		}
	}
	return wire.AppendNode(make([]byte, 0, len(payload)+64), n, payload)
}

// unpack appends what payload holds to dst, which has room for exactly rawLen bytes more.
func unpack(dst []byte, enc uint8, payload []byte, rawLen int) ([]byte, error) {
	if enc == wire.EncRaw {
		return append(dst, payload...), nil
	}
	out, err := decoder.DecodeAll(payload, dst)
	if err != nil {
		return nil, fmt.Errorf("zstd: %v: %w", err, wire.ErrFrame)
	}
	if len(out)-len(dst) != rawLen {
		return nil, fmt.Errorf("zstd: %d bytes, %d were announced: %w", len(out)-len(dst), rawLen, wire.ErrFrame)
	}
	return out, nil
}

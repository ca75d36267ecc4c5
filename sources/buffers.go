package sources

import (
	"sync"
	"sync/atomic"
)

// Size classes of pooled buffers. What is larger is allocated for one use.
var bufferClasses = [...]int{64 << 10, 256 << 10, 1 << 20}

var bufferPools [len(bufferClasses)]sync.Pool

// Buffer is bytes that several batches share. The last Release gives them back.
type Buffer struct {
	Data  []byte
	refs  atomic.Int32
	class int // index of its pool, or len(bufferClasses)
}

// NewBuffer returns a buffer of n bytes with one reference. Its bytes are not cleared.
func NewBuffer(n int) *Buffer {
	class := bufferClass(n)
	if class == len(bufferClasses) {
		return newBuffer(n, n, class)
	}
	b, _ := bufferPools[class].Get().(*Buffer)
	if b == nil {
		return newBuffer(n, bufferClasses[class], class)
	}
	b.Data = b.Data[:n]
	b.refs.Store(1)
	return b
}

func newBuffer(n, size, class int) *Buffer {
	b := &Buffer{Data: make([]byte, n, size), class: class}
	b.refs.Store(1)
	return b
}

func bufferClass(n int) int {
	for i, size := range bufferClasses {
		if n <= size {
			return i
		}
	}
	return len(bufferClasses)
}

// Retain adds a reference.
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release drops a reference. After the last one the bytes may be used for something else.
func (b *Buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n > 0:
	case n < 0:
		panic("sources: Buffer released more often than retained")
	case b.class < len(bufferClasses):
		bufferPools[b.class].Put(b)
	}
}

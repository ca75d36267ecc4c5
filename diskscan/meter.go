package diskscan

import (
	"sync"
	"time"
)

// meterEach is how many buffers go by for each that is timed.
const meterEach = 8

// meter estimates what reading a run takes of the processor. It times the first two buffers, and then one of meterEach, and takes
// the others for as dear by the byte: asking a thread's clock, and holding the thread meanwhile, is dear beside the little that
// is done for a buffer otherwise.
type meter struct {
	mu      sync.Mutex
	buffers int
	bytes   int64
	timed   int64         // bytes of the buffers that were timed
	took    time.Duration // what those took
	beside  time.Duration // what else was timed
}

// next says whether the next buffer is to be timed.
func (m *meter) next() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buffers++
	return m.buffers == 1 || m.buffers%meterEach == 2
}

// filled counts the bytes of a buffer.
func (m *meter) filled(n int, timed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += int64(n)
	if timed {
		m.timed += int64(n)
	}
}

// buffer does work for a buffer.
func (m *meter) buffer(timed bool, work func()) {
	if !timed {
		work()
		return
	}
	took := onThread(work)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took += took
}

// once does work that is for no buffer.
func (m *meter) once(work func()) {
	took := onThread(work)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.beside += took
}

// total is what all takes.
func (m *meter) total() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.timed == 0 {
		return m.beside + m.took
	}
	return m.beside + time.Duration(float64(m.took)*float64(m.bytes)/float64(m.timed))
}

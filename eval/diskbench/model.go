package diskbench

import (
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The disk of the model.
const (
	modelSeek = 8 * time.Millisecond
	modelRate = 100e6 // bytes a second
)

// Places of the model's disk beside the files, which are known by their inode numbers.
const (
	placeIndex = ^uint64(0) - iota
	placeDest
)

const (
	rowBytes   = 40      // about what the index takes for a chunk
	writeBytes = 8 << 20 // how much is written at one go, when it has gathered
)

// model is a disk with one head in virtual time. An access costs a seek, unless it goes on where the last one ended,
// and its bytes. The destination lies on the same disk and takes the same bytes whoever reads. Between two chunks that
// are asked for one by one the head is moved, by looks into the index and by others; these looks cost nothing here.
//
// It is also a diskscan.Reader: a range that was fetched is read at one go when its first byte is asked for, and is
// in memory from then on. The data itself come from the real file.
type model struct {
	mu      sync.Mutex
	elapsed time.Duration
	place   uint64
	at      int64
	fetched map[uint64][2]int64 // by inode: the range that is in memory
	unsaved int64
	saved   int64
}

func newModel() *model { return &model{fetched: map[uint64][2]int64{}} }

// access moves the head and the bytes.
func (m *model) access(place uint64, off, n int64) {
	if place != m.place || off != m.at {
		m.elapsed += modelSeek
	}
	m.elapsed += time.Duration(float64(n) / modelRate * float64(time.Second))
	m.place, m.at = place, off+n
}

// disturb moves the head away, in no time.
func (m *model) disturb() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.place, m.at = placeIndex, -1
}

// sweep is a sorted look into the index for so many chunks: all of it is read.
func (m *model) sweep(chunks int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.access(placeIndex, 0, chunks*rowBytes)
}

// save takes bytes of the destination, and writes when enough have gathered.
func (m *model) save(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsaved += n; m.unsaved >= writeBytes {
		m.access(placeDest, m.saved, m.unsaved)
		m.saved, m.unsaved = m.saved+m.unsaved, 0
	}
}

// took is the virtual time, when everything has been written.
func (m *model) took() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.access(placeDest, m.saved, m.unsaved)
	m.unsaved = 0
	return m.elapsed
}

// Fetch implements diskscan.Reader.
func (m *model) Fetch(fd int, off, end int64, _ bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := inode(fd)
	m.access(ino, off, end-off)
	m.fetched[ino] = [2]int64{off, end}
}

// ReadAt implements diskscan.Reader.
func (m *model) ReadAt(fd int, p []byte, off int64) (int, error) {
	n, err := unix.Pread(fd, p, off)
	n = max(n, 0)
	if err == nil && n < len(p) {
		err = io.EOF // a regular file gives less at its end alone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := inode(fd)
	if have := m.fetched[ino]; off < have[0] || off+int64(n) > have[1] {
		m.access(ino, off, int64(n))
	}
	return n, err
}

func inode(fd int) uint64 {
	var st unix.Stat_t
	_ = unix.Fstat(fd, &st) // an open file has an inode
	return st.Ino
}

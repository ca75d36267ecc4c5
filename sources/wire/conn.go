package wire

import (
	"net"
	"sync"
	"sync/atomic"
)

const (
	connRead  = 64 << 10
	connWrite = 256 << 10
)

// Conn lies under TLS and makes few large system calls out of its many records. Writes are buffered
// from Buffer on, and then Flush sends them. It counts the bytes.
//
// Reads need no buffer here: crypto/tls takes what its own has room for, and makes that larger whenever a
// read has filled it. connRead bounds a read, and so the buffer of TLS to a few times that: it is to stay in the
// processor's cache, as records are decrypted where they lie.
type Conn struct {
	net.Conn
	in, out atomic.Int64

	mu   sync.Mutex
	wbuf []byte // nil before Buffer
	werr error
}

// NewConn wraps a connection.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c} }

// Read reads up to connRead bytes from the network.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), connRead)])
	c.in.Add(int64(n))
	return n, err
}

// Buffer makes writes wait for Flush or a full buffer. The handshake must be over.
func (c *Conn) Buffer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wbuf == nil {
		c.wbuf = make([]byte, 0, connWrite)
	}
}

// Write takes p whole. After an error every write fails with it.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wbuf == nil {
		return c.send(p)
	}
	if len(c.wbuf)+len(p) > cap(c.wbuf) {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(c.wbuf) {
		return c.send(p)
	}
	c.wbuf = append(c.wbuf, p...)
	return len(p), nil
}

// Buffered is how many bytes wait for Flush.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.wbuf)
}

// Flush sends what is buffered.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush()
}

func (c *Conn) flush() error {
	if len(c.wbuf) == 0 {
		return c.werr
	}
	_, err := c.send(c.wbuf)
	c.wbuf = c.wbuf[:0]
	return err
}

func (c *Conn) send(p []byte) (int, error) {
	if c.werr != nil {
		return 0, c.werr
	}
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	c.werr = err
	return n, err
}

// Counts says how many bytes came and went.
func (c *Conn) Counts() (in, out int64) { return c.in.Load(), c.out.Load() }

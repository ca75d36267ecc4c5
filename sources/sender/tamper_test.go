package sender

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/sources"
)

// tamper is a man in the middle: after a number of bytes from the server it flips one, falls silent,
// or hangs up.
type tamper struct {
	net.Conn
	after int
	act   func(t *tamper, p []byte) (int, error)
	done  bool
	gone  chan struct{}
}

func (t *tamper) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.after -= n
	if t.after > 0 || t.done || err != nil {
		return n, err
	}
	return t.act(t, p[:n])
}

func (t *tamper) Close() error {
	select {
	case <-t.gone:
	default:
		close(t.gone)
	}
	return t.Conn.Close()
}

func flip(t *tamper, p []byte) (int, error) {
	t.done = true
	p[len(p)/2] ^= 1
	return len(p), nil
}

func silence(t *tamper, _ []byte) (int, error) {
	<-t.gone
	return 0, net.ErrClosed
}

func hangUp(t *tamper, _ []byte) (int, error) {
	_ = t.Conn.Close()
	return 0, errors.New("connection reset by the man in the middle")
}

// TestManInTheMiddle spoils the stream below TLS: nothing wrong is delivered, every want is settled,
// and the client says that it is down.
func TestManInTheMiddle(t *testing.T) {
	w := smallWorld(t)
	for name, act := range map[string]func(*tamper, []byte) (int, error){"flip": flip, "silence": silence, "hang up": hangUp} {
		synctest.Test(t, func(t *testing.T) {
			sink := newCollector()
			c := tamperedRig(t, w, 5*time.Millisecond, 4<<20, ServerConfig{}, sink, func(conn net.Conn) net.Conn {
				return &tamper{Conn: conn, after: 1 << 20, act: act, gone: make(chan struct{})}
			})
			begin := time.Now()
			check(t, c.Request(w.wants))
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			sink.mu.Lock()
			defer sink.mu.Unlock()
			if len(sink.got) == 0 || len(sink.failed) == 0 || len(sink.got)+len(sink.failed) != len(w.wants) || sink.downs != 1 {
				t.Fatalf("%s: %d came, %d failed of %d, %d times down", name, len(sink.got), len(sink.failed), len(w.wants), sink.downs)
			}
			for ordinal, data := range sink.got {
				if !bytes.Equal(data, w.data[ordinal]) {
					t.Fatalf("%s: chunk %d is wrong", name, ordinal)
				}
			}
			if stalled := errors.Is(sink.down, sources.ErrStalled); stalled != (name == "silence") {
				t.Errorf("%s: down with %v after %v", name, sink.down, time.Since(begin))
			}
		})
	}
}

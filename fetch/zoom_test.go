package fetch

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dfetch/recipe"
)

// slowRate is what a far target's line carries, in bytes a second.
const slowRate = 192 << 10

// farAway passes connections to a target on, slowly and with a delay in each direction.
func farAway(t *testing.T, target string, delay time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			wg.Go(func() { passLate(out, in, delay) })
			wg.Go(func() { passLate(in, out, delay) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// passLate copies from one connection to another until one ends, and closes both.
func passLate(to, from net.Conn, delay time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1024)
	var wg sync.WaitGroup
	wg.Go(func() {
		for p := range pieces {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close()
			}
		}
		to.Close()
	})
	due := time.Now()
	for {
		buf := make([]byte, 4<<10)
		n, err := from.Read(buf)
		if n > 0 {
			if now := time.Now(); due.Before(now) {
				due = now
			}
			due = due.Add(time.Duration(n) * time.Second / slowRate)
			pieces <- piece{buf[:n], due.Add(delay)}
		}
		if err != nil {
			break
		}
	}
	close(pieces)
	wg.Wait()
	_, _ = io.Copy(io.Discard, from)
}

// olderVersion writes an older version of a file: every so many bytes some are others.
func olderVersion(t *testing.T, from, to string, every, length int) (edits int) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for at := every / 2; at+length < len(data); at += every {
		for i := range length {
			data[at+i] ^= 0x55
		}
		edits++
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return edits
}

// Over a slow path, edits of an older version at the destination, or elsewhere beside it, cost little more than
// their own bytes, once it is known that the path is slow. Whole chunks would be four times as much.
func TestEditsCostTheirBytes(t *testing.T) {
	for _, at := range []string{"dst/data", "old/data"} {
		t.Run(filepath.Dir(at), func(t *testing.T) {
			src, room := t.TempDir(), filepath.Join(t.TempDir(), "room")
			writeTree(t, src, 3, map[string]int{"data": 12_000_000, "small": 9000})
			s := serveTree(t, src, recipe.MaskPortable)
			s.ep.Addrs[0] = farAway(t, s.ep.Addrs[0], 15*time.Millisecond)
			edits := olderVersion(t, filepath.Join(src, "data"), filepath.Join(room, at), 300_000, 300)
			olderVersion(t, filepath.Join(src, "small"), filepath.Join(room, filepath.Dir(at), "small"), 5000, 100)
			dst := filepath.Join(room, "dst")
			r := run(t, Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, Search: SearchConfig{NoPressure: true}})
			sameTree(t, src, dst)
			checkSum(t, r)
			sender := r.Sources["sender"]
			if most := uint64(edits)*6000 + 128<<10; sender.Bytes > most || sender.ZoomBytes == 0 || r.ZoomBytes != sender.ZoomBytes {
				t.Errorf("%d bytes came for %d edits of 300, at most %d should; lists of %d", sender.Bytes, edits, most, sender.ZoomBytes)
			}
		})
	}
}

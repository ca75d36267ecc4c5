package sender

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

func TestEveryChunkArrivesOnce(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	check(t, c.Request(w.wants))
	sink.settled(t, len(w.wants))
	for _, want := range w.wants {
		if !bytes.Equal(sink.got[want.Ordinal], w.data[want.Ordinal]) {
			t.Fatalf("chunk %d differs: %v", want.Ordinal, sink.failed[want.Ordinal])
		}
	}
	if sink.twice > 0 || len(sink.failed) > 0 {
		t.Fatalf("%d came twice, %d failed", sink.twice, len(sink.failed))
	}
	const noise = 3 << 20 // what does not shrink, should the link count as slow; the zeros do
	s := c.Stats()
	if s.Outstanding != 0 || s.WireBytes < noise || s.MinRTT <= 0 {
		t.Fatalf("stats %+v after %d bytes", s, sink.bytes)
	}
}

func TestBackwardsAndScattered(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	for i := len(w.wants) - 1; i >= 0; i -= 3 {
		check(t, c.Request(w.wants[i:i+1]))
	}
	n := (len(w.wants) + 2) / 3
	sink.settled(t, n)
	if len(sink.got) != n {
		t.Fatalf("%d chunks came, want %d: %v", len(sink.got), n, sink.failed)
	}
}

func TestRefusals(t *testing.T) {
	r := serveWorld(t, smallWorld(t), ServerConfig{})
	other, err := wire.NewIdentity()
	check(t, err)
	for name, change := range map[string]func(*ClientConfig){
		"pin":    func(c *ClientConfig) { c.Pin = other.Pin() },
		"token":  func(c *ClientConfig) { c.Token = "x" },
		"recipe": func(c *ClientConfig) { c.Recipe = recipe.ID{1} },
	} {
		cfg := r.config(t, newCollector())
		change(&cfg)
		if _, err := Dial(context.Background(), cfg); !errors.Is(err, sources.ErrRefused) {
			t.Errorf("wrong %s: %v, want ErrRefused", name, err)
		}
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	r := &rig{w: smallWorld(t), addr: l.Addr().String()}
	r.id, err = wire.NewIdentity()
	check(t, err)
	cfg := r.config(t, newCollector())
	cfg.ConnectTimeout = 500 * time.Millisecond // of which connecting takes next to nothing
	_, err = Dial(context.Background(), cfg)
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !strings.Contains(err.Error(), "no answer in 500ms") {
		t.Fatalf("%v, want a timeout", err)
	}
}

// TestServersThatAreNone: what hangs up at once, and what speaks something else, is told apart.
func TestServersThatAreNone(t *testing.T) {
	for answer, want := range map[string]error{"": ErrHungUp, "SSH-2.0-OpenSSH_9.9\r\n": sources.ErrProtocol} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 64<<10))
			_, _ = conn.Write([]byte(answer))
		}()
		r := &rig{w: smallWorld(t), addr: l.Addr().String()}
		r.id, err = wire.NewIdentity()
		check(t, err)
		if _, err = Dial(context.Background(), r.config(t, newCollector())); !errors.Is(err, want) {
			t.Errorf("after %q: %v, want %v", answer, err, want)
		}
		check(t, l.Close())
		<-done
	}
}

func TestChangedFileFails(t *testing.T) {
	w := smallWorld(t)
	later := time.Now().Add(time.Hour)
	check(t, os.Chtimes(filepath.Join(w.dir, "c-large"), later, later))
	check(t, os.Remove(filepath.Join(w.dir, "b-small")))
	check(t, os.Symlink("c-large", filepath.Join(w.dir, "b-small")))
	r := serveWorld(t, w, ServerConfig{})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	check(t, c.Request(w.wants))
	sink.settled(t, len(w.wants))
	const changed = 2 + 193 // b-small and c-large
	if len(sink.failed) != changed {
		t.Errorf("%d chunks failed, want %d", len(sink.failed), changed)
	}
	for ordinal, err := range sink.failed {
		if !errors.Is(err, sources.ErrChanged) {
			t.Fatalf("chunk %d: %v, want ErrChanged", ordinal, err)
		}
	}
}

func TestCancel(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{UploadLimit: 256 << 10})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	check(t, c.Request(w.wants))
	c.Cancel(w.wants[10:])
	sink.settled(t, len(w.wants))
	for _, want := range w.wants[200:] {
		if err := sink.failed[want.Ordinal]; !errors.Is(err, sources.ErrCanceled) {
			t.Fatalf("chunk %d: %v, want ErrCanceled", want.Ordinal, err)
		}
	}
}

func TestNodesRecursive(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	c := r.dial(t, r.config(t, nil))
	got := recipe.MemNodes{}
	req := NodesRequest{Refs: []wire.NodeRef{{Kind: recipe.KindDir, ID: w.root.Top.Dir.ID}}, Recursive: true, Lists: true}
	err := c.Nodes(context.Background(), req, func(_ recipe.Kind, id recipe.ID, raw []byte) error {
		got[id] = raw
		return nil
	})
	check(t, err)
	if len(got) != len(w.nodes) {
		t.Fatalf("%d nodes came, recipe has %d", len(got), len(w.nodes))
	}
	for id, raw := range w.nodes {
		one, err := c.Node(context.Background(), kindOf(raw), id)
		check(t, err)
		if !bytes.Equal(one, raw) || !bytes.Equal(got[id], raw) {
			t.Fatalf("node %v differs", id)
		}
	}
	if _, err := c.Node(context.Background(), recipe.KindDir, recipe.ID{9}); !errors.Is(err, recipe.ErrNotFound) {
		t.Fatalf("unknown node: %v, want ErrNotFound", err)
	}
}

func kindOf(raw []byte) recipe.Kind { return recipe.Kind(raw[0]) }

func TestCloseFailsWhatIsOutstanding(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{UploadLimit: 64 << 10})
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	check(t, c.Request(w.wants))
	check(t, c.Close())
	if len(sink.got)+len(sink.failed) != len(w.wants) || sink.downs != 1 {
		t.Fatalf("%d came, %d failed, %d times down", len(sink.got), len(sink.failed), sink.downs)
	}
	if err := c.Request(w.wants[:1]); !errors.Is(err, sources.ErrClosed) {
		t.Fatalf("request after Close: %v", err)
	}
}

func TestNodesEndEarly(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	c := r.dial(t, r.config(t, nil))
	stop := errors.New("enough")
	req := NodesRequest{Refs: []wire.NodeRef{{Kind: recipe.KindDir, ID: w.root.Top.Dir.ID}}, Recursive: true, Lists: true}
	for range 4 * wire.MaxNodeJobs {
		err := c.Nodes(t.Context(), req, func(recipe.Kind, recipe.ID, []byte) error { return stop })
		if !errors.Is(err, stop) {
			t.Fatalf("%v, want the error of the callback", err)
		}
	}
}

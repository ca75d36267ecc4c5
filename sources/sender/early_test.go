package sender

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

func plain(c net.Conn) net.Conn { return c }

func fromRoot(w *world, recursive, lists bool) NodesRequest {
	return NodesRequest{Refs: []wire.NodeRef{{Kind: recipe.KindRoot, ID: w.ID()}}, Recursive: recursive, Lists: lists}
}

// TestEarlyNodesSaveARoundTrip asks for a recipe of many nodes: with HELLO, and after it.
func TestEarlyNodesSaveARoundTrip(t *testing.T) {
	const rtt = 100 * time.Millisecond
	w := flatWorld(t, []spec{{"file", noise(1, 64<<20)}}) // 4096 references: more than the early window
	req := fromRoot(w, true, true)
	took := func(early []NodesRequest) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			c := earlyRig(t, w, rtt/2, 0, ServerConfig{}, nil, plain, early)
			for range 2 { // the second one is asked for as always
				got := recipe.MemNodes{}
				check(t, c.Nodes(t.Context(), req, func(_ recipe.Kind, id recipe.ID, raw []byte) error {
					got[id] = raw
					return nil
				}))
				if len(got) != len(w.nodes)+1 {
					t.Errorf("%d nodes came, recipe has %d and the root", len(got), len(w.nodes))
				}
				if d == 0 {
					d = time.Since(begin)
				}
			}
		})
		return d
	}
	late, early := took(nil), took([]NodesRequest{req})
	// Handshake, HELLO, and NODES or MORE. What is beyond the early window needs room, but not before WELCOME.
	if late > 3*rtt+rtt/2 || early > late {
		t.Errorf("nodes took %v after HELLO and %v with it; a round trip is %v", late, early, rtt)
	}
	small := flatWorld(t, []spec{{"file", noise(2, 1<<20)}})
	w, req = small, fromRoot(small, true, true)
	late, early = took(nil), took([]NodesRequest{req})
	if early > 2*rtt+rtt/2 || early > late-rtt+rtt/10 {
		t.Errorf("few nodes took %v after HELLO and %v with it; a round trip is %v", late, early, rtt)
	}
}

// TestEarlyNodesThatNobodyWants: no more than a window of them comes, and the client works on.
func TestEarlyNodesThatNobodyWants(t *testing.T) {
	w := flatWorld(t, []spec{{"file", noise(1, 64<<20)}})
	synctest.Test(t, func(t *testing.T) {
		sink := newCollector()
		c := earlyRig(t, w, 10*time.Millisecond, 0, ServerConfig{}, sink, plain, []NodesRequest{fromRoot(w, true, true), fromRoot(w, false, true)})
		time.Sleep(2 * time.Minute) // longer than any timeout
		if n := c.Stats().WireBytes; n > 2*earlyWindow {
			t.Errorf("%d bytes came of nodes that nobody took over", n)
		}
		check(t, c.Request(w.wants[:10]))
		sink.settled(t, 10)
		if len(sink.got) != 10 {
			t.Errorf("%d of 10 chunks came: %v", len(sink.got), sink.failed)
		}
	})
}

// TestEarlyRequestIsRefused: the server's answer to HELLO arrives, whatever came with it.
func TestEarlyRequestIsRefused(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	for i := range 20 {
		cfg := r.config(t, nil)
		cfg.Token, cfg.Early = fmt.Sprint("wrong", i), always([]NodesRequest{fromRoot(w, true, true)})
		if _, err := Dial(t.Context(), cfg); !errors.Is(err, sources.ErrRefused) {
			t.Fatalf("%v, want ErrRefused", err)
		}
	}
	cfg := r.config(t, nil)
	cfg.Early = always(make([]NodesRequest, 1))
	if _, err := Dial(t.Context(), cfg); err == nil {
		t.Fatal("an early request of no nodes was taken")
	}
}

// counted counts what arrives at a connection, by the writes of the other end.
type counted struct {
	net.Conn
	reads *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// TestEarlyNodesShareAPacketWithWelcome: what a path takes in its first round trip is counted in packets.
func TestEarlyNodesShareAPacketWithWelcome(t *testing.T) {
	w := smallWorld(t)
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		early := []NodesRequest{fromRoot(w, true, false), fromRoot(w, false, true)}
		count := func(c net.Conn) net.Conn { return counted{c, &reads} }
		c := earlyRig(t, w, 10*time.Millisecond, 0, ServerConfig{}, nil, count, early)
		for _, req := range early {
			check(t, c.Nodes(t.Context(), req, func(recipe.Kind, recipe.ID, []byte) error { return nil }))
		}
		// One is the server's part of the handshake. A node of a few KiB may go ahead of others.
		if n := reads.Load() - 1; n > 2 {
			t.Errorf("WELCOME and few nodes came in %d writes", n)
		}
	})
}

// TestTakenGoesWithWhatFollows: TAKEN costs no frame of its own while few requests wait for it.
func TestTakenGoesWithWhatFollows(t *testing.T) {
	r := serveWorld(t, smallWorld(t), ServerConfig{})
	conn, reader := rude(t, r, true)
	expect := func(want wire.Type) {
		t.Helper()
		if typ, _, err := reader.Next(); err != nil || typ != want {
			t.Fatalf("frame %d, %v, want %d", typ, err, want)
		}
	}
	for i := range uint64(3 * wire.MaxGets) {
		_, err := conn.Write(wire.AppendMessage(nil, wire.TypeGet, wire.Ordinals{Ranges: []uint64{i, 1}}))
		check(t, err)
		if i > 0 {
			expect(wire.TypeTaken)
		}
		expect(wire.TypeData)
		_, err = conn.Write(wire.AppendFrame(nil, wire.TypePing, make([]byte, 8)))
		check(t, err)
		expect(wire.TypePong)
	}
}

// TestTakenComesForCanceledRequests: nothing follows that it could go with.
func TestTakenComesForCanceledRequests(t *testing.T) {
	r := serveWorld(t, smallWorld(t), ServerConfig{})
	conn, reader := rude(t, r, false)
	// In one record, which the server takes before it answers.
	p := wire.AppendMessage(nil, wire.TypeHello, wire.Hello{Versions: []uint16{wire.Version}, Recipe: r.w.ID(), Token: testToken})
	for i := range uint64(mostTaken) {
		p = wire.AppendMessage(p, wire.TypeGet, wire.Ordinals{Ranges: []uint64{i, 1}})
	}
	p = wire.AppendMessage(p, wire.TypeCancel, wire.Ordinals{Ranges: []uint64{0, mostTaken}})
	_, err := conn.Write(p)
	check(t, err)
	for _, want := range []wire.Type{wire.TypeWelcome, wire.TypeTaken} {
		if typ, _, err := reader.Next(); err != nil || typ != want {
			t.Fatalf("frame %d, %v, want %d", typ, err, want)
		}
	}
	body, err := reader.Control()
	check(t, err)
	if n, err := wire.DecodeTaken(body); err != nil || n != mostTaken {
		t.Errorf("%d requests taken, %v, want %d", n, err, mostTaken)
	}
}

// sendHello sends HELLO and what comes with it.
func sendHello(t *testing.T, conn net.Conn, w *world, with []byte) {
	t.Helper()
	p := wire.AppendMessage(nil, wire.TypeHello, wire.Hello{Versions: []uint16{wire.Version}, Recipe: w.ID(), Token: testToken})
	_, err := conn.Write(append(p, with...))
	check(t, err)
}

// expectFrames reads the headers of frames of these types.
func expectFrames(t *testing.T, r *wire.Reader, types ...wire.Type) {
	t.Helper()
	for _, want := range types {
		if typ, _, err := r.Next(); err != nil || typ != want {
			t.Fatalf("frame %d, %v, want %d", typ, err, want)
		}
	}
}

// askAll is NODES for all of a world, with room for so many bytes.
func askAll(w *world, room int) []byte {
	req := fromRoot(w, true, true)
	return wire.AppendMessage(nil, wire.TypeNodes, req.message(1, room))
}

// TestWelcomeComesWhateverIsWithHello: none of it is what the server has to wait for.
func TestWelcomeComesWhateverIsWithHello(t *testing.T) {
	r := serveWorld(t, smallWorld(t), ServerConfig{})
	later := wire.AppendFrame(nil, 0x90, []byte("of a later version"))
	for name, with := range map[string][]byte{
		"nothing":                     nil,
		"a frame to skip":             later,
		"half a frame to skip":        later[:9],
		"half of NODES":               askAll(r.w, 1<<20)[:9],
		"a frame to skip, and half":   append(later[:len(later):len(later)], askAll(r.w, 1<<20)[:9]...),
		"requests that wait for room": askAll(r.w, 0),
	} {
		t.Run(name, func(t *testing.T) {
			conn, reader := rude(t, r, false)
			sendHello(t, conn, r.w, with)
			expectFrames(t, reader, wire.TypeWelcome)
		})
	}
}

// stuck is a world on a disk that hangs from the second node on that is read.
type stuck struct {
	*world
	reads       atomic.Int64
	hung, ready chan struct{}
}

func (s *stuck) Node(ctx context.Context, kind recipe.Kind, id recipe.ID) ([]byte, error) {
	if n := s.reads.Add(1); n > 1 {
		if n == 2 {
			close(s.hung)
		}
		<-s.ready
	}
	return s.world.Node(ctx, kind, id)
}

// TestNothingWaitsForASlowDisk: what is ready is sent while the next node is read.
func TestNothingWaitsForASlowDisk(t *testing.T) {
	w := flatWorld(t, []spec{{"a", noise(1, 3<<20)}, {"b", noise(2, 3<<20)}})
	for _, early := range []bool{true, false} {
		t.Run(fmt.Sprint("early ", early), func(t *testing.T) {
			r := serveWorld(t, w, ServerConfig{})
			slow := &stuck{world: w, hung: make(chan struct{}), ready: make(chan struct{})}
			check(t, r.srv.Add(Served{Recipe: slow, Path: w.dir, Token: testToken}))
			t.Cleanup(func() { close(slow.ready) })
			conn, reader := rude(t, r, !early)
			if early {
				sendHello(t, conn, w, askAll(w, 1<<20))
				expectFrames(t, reader, wire.TypeWelcome)
			} else {
				keepBusy(t, conn, reader, 5*maxWait)
				_, err := conn.Write(askAll(w, 1<<20))
				check(t, err)
			}
			expectFrames(t, reader, wire.TypeNode, wire.TypeNode) // the root is at hand
			<-slow.hung                                           // which may be after what was ready was sent
			if n := slow.reads.Load(); n != 2 {
				t.Errorf("%d nodes were read, the second one hangs", n)
			}
		})
	}
}

// keepBusy talks with a server for some time.
func keepBusy(t *testing.T, conn net.Conn, reader *wire.Reader, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		_, err := conn.Write(wire.AppendFrame(nil, wire.TypePing, make([]byte, 8)))
		check(t, err)
		expectFrames(t, reader, wire.TypePong)
	}
}

// TestNothingWaitsForTheUploadLimit: neither WELCOME, nor a node that the limit let through.
func TestNothingWaitsForTheUploadLimit(t *testing.T) {
	w := flatWorld(t, []spec{{"a", noise(1, 3<<20)}, {"b", noise(2, 3<<20)}})
	for name, c := range map[string]struct {
		left int // bytes that the limit lets through before it lets nothing through for long
		want []wire.Type
	}{
		"at once": {0, []wire.Type{wire.TypeWelcome}},
		"later":   {1 << 10, []wire.Type{wire.TypeWelcome, wire.TypeNode}},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveWorld(t, w, ServerConfig{UploadLimit: 10})
			check(t, takeRate(t.Context(), r.srv.total.Burst()-c.left, r.srv.total))
			conn, reader := rude(t, r, false)
			sendHello(t, conn, w, askAll(w, 1<<20))
			expectFrames(t, reader, c.want...)
		})
	}
}

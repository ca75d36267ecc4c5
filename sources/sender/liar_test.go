package sender

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/sourcetest"
	"dfetch/sources/wire"
)

// liar is a server that speaks the protocol and misbehaves as its peer says.
type liar struct {
	conn net.Conn
	tls  *tls.Conn
	root []byte
	peer *sourcetest.Peer
}

// oneFile is a recipe of one file with these chunks.
func oneFile(tb testing.TB, chunks *sourcetest.Chunks) []byte {
	lb := recipe.NewListBuilder(recipe.MemNodes{}.Put(recipe.BLAKE3))
	for _, w := range chunks.Wants {
		check(tb, lb.Add(recipe.Ref{ID: w.ID, Bytes: int64(w.Len), Chunks: 1}))
	}
	list, err := lb.Finish()
	check(tb, err)
	root := recipe.Root{
		Version: 1, Hash: recipe.BLAKE3, Profile: recipe.Rabin16, Mask: recipe.MaskPortable,
		Counts: recipe.Counts{Entries: 1, Files: 1, Bytes: uint64(chunks.Bytes()), DataBytes: uint64(chunks.Bytes()), Chunks: uint64(len(chunks.Wants))},
		Top:    recipe.Entry{Name: "file", Type: recipe.TypeFile, Mode: 0o644, Size: chunks.Bytes(), Content: list},
	}
	raw, err := root.Encode()
	check(tb, err)
	return raw
}

func (l *liar) run() {
	defer l.conn.Close()
	r := wire.NewReader(l.tls, 0)
	if t, _, err := r.Next(); err != nil || t != wire.TypeHello {
		return
	}
	l.send(wire.AppendMessage(nil, wire.TypeWelcome, wire.Welcome{Version: wire.Version, Root: l.root, Features: features}))
	for l.turn(r) {
	}
}

// turn answers one frame; false at the end.
func (l *liar) turn(r *wire.Reader) bool {
	t, _, err := r.Next()
	if err != nil {
		return false
	}
	body, err := r.Control()
	if err != nil {
		return false
	}
	switch t {
	case wire.TypePing:
		return l.send(wire.AppendFrame(nil, wire.TypePong, body))
	case wire.TypeGet:
		return l.ordinals(body, l.peer.Answer)
	case wire.TypeZoom:
		return l.ordinals(body, l.peer.AnswerZoom)
	case wire.TypeGetParts:
		return l.getParts(body)
	}
	return true
}

func (l *liar) getParts(body []byte) bool {
	parts, _, err := wire.DecodeParts(body)
	if err != nil {
		return false
	}
	var asked []sources.Part
	for _, p := range parts {
		asked = append(asked, sources.Part{Ordinal: p.Ordinal, Spans: spansOf[sources.Span](p.Spans)})
	}
	return l.all(l.peer.AnswerParts(asked))
}

func (l *liar) all(answers []sourcetest.Answer) bool {
	for _, a := range answers {
		if !l.act(a) {
			return false
		}
	}
	return l.send(wire.AppendTaken(nil, 1))
}

func (l *liar) ordinals(body []byte, answer func([]uint64) []sourcetest.Answer) bool {
	var o wire.Ordinals
	if wire.Decode(body, &o) != nil {
		return false
	}
	var asked []uint64
	for _, r := range unflatten(o.Ranges) {
		for i := range r.Count {
			asked = append(asked, r.First+i)
		}
	}
	return l.all(answer(asked))
}

func (l *liar) act(a sourcetest.Answer) bool {
	switch a.Op {
	case sourcetest.OpRefuse:
		return l.send(wire.AppendMessage(nil, wire.TypeFail, wire.Fail{Ranges: []uint64{a.Ordinal, 1}, Code: wire.CodeNotHeld}))
	case sourcetest.OpClose:
		return false
	case sourcetest.OpFlood:
		for l.data(a) {
		}
		return false
	case sourcetest.OpData:
		return l.data(a)
	case sourcetest.OpParts:
		return l.parts(a)
	case sourcetest.OpFine:
		return l.fine(wire.FineList{Ordinal: a.Ordinal, FineList: a.Fine})
	case sourcetest.OpNoFine:
		return l.fine(wire.FineList{Ordinal: a.Ordinal, Code: wire.CodeNotHeld})
	}
	return true
}

func (l *liar) fine(list wire.FineList) bool {
	return l.send(wire.AppendFrame(nil, wire.TypeFine, wire.AppendFineList(nil, list)))
}

func (l *liar) parts(a sourcetest.Answer) bool {
	table := wire.AppendPart(nil, wire.Part{Ordinal: a.Ordinal, Spans: spansOf[wire.Span](a.Spans)})
	head := wire.AppendPartsFrame(nil, wire.Parts{RawLen: uint32(len(a.Data))}, table, len(a.Data))
	return l.send(append(head, a.Data...))
}

func (l *liar) data(a sourcetest.Answer) bool {
	n := uint32(len(a.Data))
	head := wire.AppendData(nil, wire.Data{First: a.Ordinal, N: 1, RawLen: n}, []uint32{n}, len(a.Data))
	return l.send(append(head, a.Data...))
}

func (l *liar) send(p []byte) bool {
	_, err := l.tls.Write(p)
	return err == nil
}

// lieTo connects a client to a liar over a link.
func lieTo(t *testing.T, cfg sourcetest.Config) sources.Source {
	id, err := wire.NewIdentity()
	check(t, err)
	near, far := sourcetest.Link(cfg.RTT/2, cfg.Rate)
	l := &liar{conn: far, tls: tls.Server(far, wire.ServerTLS(id)), root: oneFile(t, cfg.Chunks), peer: sourcetest.NewPeer(cfg.Chunks, cfg.Faults)}
	done := make(chan struct{})
	go func() { defer close(done); l.run() }()
	in := sources.NewIntake(sources.IntakeConfig{Bytes: 1 << 20})
	c, err := Dial(context.Background(), ClientConfig{
		Addr: "liar:1", Pin: id.Pin(), Recipe: recipe.RootID(l.root, recipe.BLAKE3), Sink: cfg.Sink, Intake: in,
		StallTimeout: cfg.StallTimeout,
		Dial:         func(context.Context, string, string) (net.Conn, error) { return near, nil },
	})
	check(t, err)
	t.Cleanup(func() {
		check(t, c.Close())
		<-done
		in.Close()
	})
	return c
}

func TestConformance(t *testing.T) { sourcetest.Run(t, lieTo) }

// memListener hands out connections of a link.
type memListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn, 4), done: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	close(l.done)
	return nil
}

func (l *memListener) Addr() net.Addr { return &net.TCPAddr{} }

// linkRig is a server and a client of it on virtual time, with a link of this delay and rate.
func linkRig(t *testing.T, w *world, delay time.Duration, rate float64, cfg ServerConfig, sink sources.Sink) *Client {
	return tamperedRig(t, w, delay, rate, cfg, sink, func(c net.Conn) net.Conn { return c })
}

// tamperedRig is a linkRig whose client's connection is replaced by what between makes of it.
func tamperedRig(t *testing.T, w *world, delay time.Duration, rate float64, cfg ServerConfig, sink sources.Sink, between func(net.Conn) net.Conn) *Client {
	return earlyRig(t, w, delay, rate, cfg, sink, between, nil)
}

// always gives the same early requests.
func always(early []NodesRequest) func(context.Context) []NodesRequest {
	return func(context.Context) []NodesRequest { return early }
}

// earlyRig is a tamperedRig whose client has early requests.
func earlyRig(t *testing.T, w *world, delay time.Duration, rate float64, cfg ServerConfig, sink sources.Sink, between func(net.Conn) net.Conn, early []NodesRequest) *Client {
	id, err := wire.NewIdentity()
	check(t, err)
	cfg.Identity = id
	srv, err := NewServer(cfg)
	check(t, err)
	check(t, srv.Add(Served{Recipe: w, Path: w.dir}))
	l := newMemListener()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	near, far := sourcetest.Link(delay, rate)
	l.conns <- far
	in := sources.NewIntake(sources.IntakeConfig{})
	c, err := Dial(context.Background(), ClientConfig{
		Addr: "link:1", Pin: id.Pin(), Recipe: w.ID(), Sink: sink, Intake: in, Early: always(early),
		Dial: func(context.Context, string, string) (net.Conn, error) { return between(near), nil },
	})
	check(t, err)
	t.Cleanup(func() {
		check(t, c.Close())
		in.Close()
		cancel()
		check(t, <-done)
		check(t, srv.Close())
	})
	return c
}

package sender

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

// rude is a client that sends what it likes after a proper HELLO.
func rude(t *testing.T, r *rig, hello bool) (*tls.Conn, *wire.Reader) {
	config, err := wire.ClientTLS(r.id.Pin())
	check(t, err)
	conn, err := tls.Dial("tcp", r.addr, config)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	reader := wire.NewReader(conn, 1<<21)
	if hello {
		_, err = conn.Write(wire.AppendMessage(nil, wire.TypeHello, wire.Hello{
			Versions: []uint16{wire.Version}, Recipe: r.w.ID(), Token: testToken,
		}))
		check(t, err)
		if typ, _, err := reader.Next(); err != nil || typ != wire.TypeWelcome {
			t.Fatalf("frame %d, %v", typ, err)
		}
	}
	return conn, reader
}

// TestServerEndsRudeClients sends what breaks the protocol; the server says so, or hangs up, and
// serves the next client.
func TestServerEndsRudeClients(t *testing.T) {
	r := serveWorld(t, smallWorld(t), ServerConfig{})
	flood := func(frame []byte, n int) (p []byte) {
		for range n {
			p = append(p, frame...)
		}
		return p
	}
	node := wire.Nodes{Refs: []wire.NodeRef{{Kind: recipe.KindDir}}}
	for name, c := range map[string]struct {
		hello bool
		send  []byte
	}{
		"no HELLO":          {false, wire.AppendFrame(nil, wire.TypePing, make([]byte, 8))},
		"unknown frame":     {true, wire.AppendFrame(nil, 99, nil)},
		"server's frame":    {true, wire.AppendTaken(nil, 1)},
		"too large":         {true, wire.AppendHeader(nil, wire.TypeGet, wire.MaxControl+1)},
		"garbage CBOR":      {true, wire.AppendFrame(nil, wire.TypeGet, []byte{0xff, 0xff})},
		"beyond the recipe": {true, wire.AppendMessage(nil, wire.TypeGet, wire.Ordinals{Ranges: []uint64{0, 1 << 40}})},
		"many GETs":         {true, flood(wire.AppendMessage(nil, wire.TypeGet, wire.Ordinals{Ranges: []uint64{0, 250}}), 5000)},
		"many NODES":        {true, flood(wire.AppendMessage(nil, wire.TypeNodes, node), 100)},
		"large ZOOM":        {true, wire.AppendMessage(nil, wire.TypeZoom, wire.Ordinals{Ranges: flatten(slices.Repeat([]sources.Range{{Count: 200}}, 21))})},
		"huge ZOOM":         {true, wire.AppendMessage(nil, wire.TypeZoom, wire.Ordinals{Ranges: []uint64{0, 1 << 63, 5, 1 << 63}})},
		"ZOOM beyond":       {true, wire.AppendMessage(nil, wire.TypeZoom, wire.Ordinals{Ranges: []uint64{1 << 40, 1}})},
		"many ZOOMs":        {true, flood(wire.AppendMessage(nil, wire.TypeZoom, wire.Ordinals{Ranges: []uint64{0, 250}}), 5000)},
		"garbage parts":     {true, wire.AppendFrame(nil, wire.TypeGetParts, []byte{0, 1, 0})},
		"parts beyond":      {true, wire.AppendFrame(nil, wire.TypeGetParts, wire.AppendPart(nil, wire.Part{Ordinal: 1 << 40, Spans: []wire.Span{{Len: 1}}}))},
		"large part":        {true, wire.AppendFrame(nil, wire.TypeGetParts, wire.AppendPart(nil, wire.Part{Spans: []wire.Span{{Len: 1 << 30}}}))},
		"parts from client": {true, wire.AppendPartsFrame(nil, wire.Parts{}, nil, 0)},
		"second HELLO":      {true, wire.AppendMessage(nil, wire.TypeHello, wire.Hello{})},
	} {
		conn, reader := rude(t, r, c.hello)
		_, _ = conn.Write(c.send)
		ended := false
		for range 10_000 {
			typ, _, err := reader.Next()
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if ended = err != nil || typ == wire.TypeError; ended {
				break
			}
		}
		if !ended {
			t.Errorf("%s: the connection goes on", name)
		}
		_ = conn.Close()
	}
	sink := newCollector()
	c := r.dial(t, r.config(t, sink))
	check(t, c.Request(r.w.wants))
	sink.settled(t, len(r.w.wants))
}

// TestServerDropsSilentClients: those that say nothing at all, nothing after the handshake, and nothing after HELLO.
func TestServerDropsSilentClients(t *testing.T) {
	quick := serveWorld(t, smallWorld(t), ServerConfig{HandshakeTimeout: time.Second}) // a handshake takes next to nothing of it
	silent, err := net.Dial("tcp", quick.addr)
	check(t, err)
	config, err := wire.ClientTLS(quick.id.Pin())
	check(t, err)
	met, err := tls.Dial("tcp", quick.addr, config)
	check(t, err)
	wantDropped(t, "silent", silent)
	wantDropped(t, "before HELLO", met)
	idle := serveWorld(t, smallWorld(t), ServerConfig{IdleTimeout: 50 * time.Millisecond})
	greeted, _ := rude(t, idle, true)
	wantDropped(t, "after HELLO", greeted)
}

// wantDropped waits for the server to end a connection.
func wantDropped(t *testing.T, name string, conn net.Conn) {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection goes on", name)
	}
}

package sender

import (
	"errors"
	"fmt"
	"net"
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
		cfg.Token, cfg.Early = fmt.Sprint("wrong", i), []NodesRequest{fromRoot(w, true, true)}
		if _, err := Dial(t.Context(), cfg); !errors.Is(err, sources.ErrRefused) {
			t.Fatalf("%v, want ErrRefused", err)
		}
	}
	cfg := r.config(t, nil)
	cfg.Early = make([]NodesRequest, 1)
	if _, err := Dial(t.Context(), cfg); err == nil {
		t.Fatal("an early request of no nodes was taken")
	}
}

package sender

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// addrOf makes a peer's address.
func addrOf(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }

// begin lets one handshake of an address begin and end, and says how long it waited.
func begin(t *testing.T, g *gate, ip string) time.Duration {
	t.Helper()
	start := time.Now()
	admit, release, err := g.enter(start, addrOf(ip))
	check(t, err)
	defer release()
	check(t, admit(context.Background()))
	return time.Since(start)
}

// TestOneAddressStarvesNoOther: who opens connections as fast as he can waits for himself alone.
func TestOneAddressStarvesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ServerConfig{HandshakesPerSec: 40, HandshakesPerIP: 10}
		cfg.setDefaults()
		g := newGate(&cfg)
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan int)
		for range 4 { // one address, on four connections at once
			go func() {
				n := 0
				for ; ; n++ {
					admit, release, err := g.enter(time.Now(), addrOf("10.0.0.1"))
					check(t, err)
					err = admit(ctx)
					release()
					if err != nil {
						break
					}
				}
				done <- n
			}()
		}
		for i := range 20 {
			time.Sleep(time.Second) // of the bubble's clock
			if wait := begin(t, g, "10.0.0.2"); wait > 100*time.Millisecond {
				t.Errorf("second %d: the other address waited %v", i, wait)
			}
		}
		elapsed := time.Since(start).Seconds()
		cancel()
		n := 0
		for range 4 {
			n += <-done
		}
		if most := 10 + 10*elapsed; float64(n) > most {
			t.Errorf("%d handshakes of one address in %.0f s, limit 10 a second", n, elapsed)
		}
	})
}

// TestTotalHandshakes: many addresses together have a limit as well.
func TestTotalHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ServerConfig{HandshakesPerSec: 40}
		cfg.setDefaults()
		g := newGate(&cfg)
		start := time.Now()
		for i := range 400 {
			begin(t, g, fmt.Sprintf("10.0.%d.%d", i/200, i%200))
		}
		if took := time.Since(start); took < 8900*time.Millisecond {
			t.Errorf("400 handshakes within %v at 40 a second", took)
		}
	})
}

// TestAddressesOfOneNetwork: an IPv6 client can't have limits anew by taking another of its addresses.
func TestAddressesOfOneNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8::1", "2001:db8::ffff:2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"10.0.0.1", "10.0.0.2", false},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
	} {
		if same := networkOf(addrOf(c.a)) == networkOf(addrOf(c.b)); same != c.same {
			t.Errorf("%s and %s: same %v", c.a, c.b, same)
		}
	}
}

// TestAddressesAreForgotten: what the gate remembers of addresses is bounded.
func TestAddressesAreForgotten(t *testing.T) {
	cfg := ServerConfig{}
	cfg.setDefaults()
	g := newGate(&cfg)
	now := time.Now()
	call := func(i int) {
		_, release, err := g.enter(now, addrOf(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
		check(t, err)
		release()
	}
	for i := range 3 * sweepCallers {
		call(i)
	}
	if n := len(g.byIP); n > sweepCallers {
		t.Errorf("%d addresses are remembered that ask for nothing", n)
	}
	for i := range maxCallers + sweepCallers { // each has taken a token, so none can be forgotten
		call(i)
		g.caller(now, networkOf(addrOf(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))).rate.AllowN(now, 1)
	}
	if n := len(g.byIP); n > maxCallers {
		t.Errorf("%d addresses are remembered, limit %d", n, maxCallers)
	}
	now = now.Add(time.Minute)
	call(1 << 20)
	if n := len(g.byIP); n != 1 {
		t.Errorf("%d addresses are remembered a minute later", n)
	}
}

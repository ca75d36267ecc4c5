package sender

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"dfetch/sources/wire"
)

// counters are what /metrics shows.
type counters struct {
	conns   atomic.Int64 // connections taken, ever
	refused atomic.Int64 // over a limit, or not allowed
	chunks  atomic.Int64 // sent
	bytes   atomic.Int64 // of chunks, raw
	changed atomic.Int64 // chunks that failed
}

// gate bounds connections, of each address and all together, and how fast new ones come. It is asked before
// any work is done for one. An IPv6 network of 64 bits counts as one address: who has one address of it has all.
type gate struct {
	total  *rate.Limiter // of handshakes
	perSec rate.Limit    // the same, of one address
	all    int
	each   int

	mu    sync.Mutex
	open  int
	byIP  map[netip.Prefix]*caller
	next  int       // how many of them call for a look at who may be forgotten
	swept time.Time // when the last look was
	rest  *caller   // stands for the addresses beyond maxCallers
}

// caller is one address.
type caller struct {
	open int
	rate *rate.Limiter
}

// Addresses are remembered until they may begin as many handshakes as at first. There is a look for such when
// sweepCallers have come since the last look, and each sweepFull while there is room for no more.
const (
	maxCallers   = 1 << 14
	sweepCallers = 1 << 10
	sweepFull    = time.Second
)

func newGate(cfg *ServerConfig) *gate {
	g := &gate{
		total:  perSecond(rate.Limit(cfg.HandshakesPerSec)),
		perSec: rate.Limit(cfg.HandshakesPerIP),
		all:    cfg.MaxConns,
		each:   cfg.MaxConnsPerIP,
		byIP:   make(map[netip.Prefix]*caller),
	}
	g.rest = &caller{rate: perSecond(g.perSec)}
	return g
}

// perSecond is a limit of events a second, of which a second's worth may come at once.
func perSecond(limit rate.Limit) *rate.Limiter { return rate.NewLimiter(limit, max(1, int(limit))) }

// enter counts a connection, at a time; release ends it. admit waits until its handshake may begin.
func (g *gate) enter(now time.Time, addr net.Addr) (admit func(context.Context) error, release func(), err error) {
	ip := networkOf(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.caller(now, ip)
	switch {
	case g.open >= g.all:
		return nil, nil, fmt.Errorf("%d connections are open, limit %d", g.open, g.all)
	case c.open >= g.each:
		return nil, nil, fmt.Errorf("%v has %d connections, limit %d", ip, c.open, g.each)
	}
	g.open++
	c.open++
	admit = func(ctx context.Context) error {
		if err := c.rate.Wait(ctx); err != nil {
			return fmt.Errorf("%v begins more than %v handshakes a second: %w", ip, g.perSec, err)
		}
		return g.total.Wait(ctx)
	}
	return admit, func() { g.leave(c) }, nil
}

// networkOf is the address that limits are kept for.
func networkOf(addr net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{} // of no network that is known: all such are one
	}
	ip, bits := ap.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// caller finds what is known of an address; g.mu is held.
func (g *gate) caller(now time.Time, ip netip.Prefix) *caller {
	if c := g.byIP[ip]; c != nil {
		return c
	}
	if len(g.byIP) >= g.next && (len(g.byIP) < maxCallers || now.Sub(g.swept) >= sweepFull) {
		g.sweep(now)
		g.next, g.swept = min(len(g.byIP)+sweepCallers, maxCallers), now
	}
	if len(g.byIP) >= maxCallers {
		return g.rest
	}
	c := &caller{rate: perSecond(g.perSec)}
	g.byIP[ip] = c
	return c
}

// sweep forgets the addresses that nothing needs to be known of.
func (g *gate) sweep(now time.Time) {
	for ip, c := range g.byIP {
		if c.open == 0 && c.rate.TokensAt(now) >= float64(c.rate.Burst()) {
			delete(g.byIP, ip)
		}
	}
}

func (g *gate) leave(c *caller) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	c.open--
}

// limiter is a rate limit in bytes; nil for none.
func limiter(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	burst := max(64<<10, min(int(bytes/10), wire.MaxRun))
	return rate.NewLimiter(rate.Limit(bytes), burst)
}

// takeRate waits until n bytes may be sent under every limit.
func takeRate(ctx context.Context, n int, limits ...*rate.Limiter) error {
	for _, l := range limits {
		if l == nil {
			continue
		}
		for left := n; left > 0; {
			part := min(left, l.Burst())
			if err := l.WaitN(ctx, part); err != nil {
				return fmt.Errorf("upload limit: %w", err)
			}
			left -= part
		}
	}
	return nil
}

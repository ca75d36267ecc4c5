package sender

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

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

// gate bounds connections. It is asked before any work is done for one.
type gate struct {
	rate *rate.Limiter
	all  int
	each int

	mu   *sync.Mutex
	open int
	byIP map[string]int
}

func newGate(cfg *ServerConfig) gate {
	burst := max(1, int(cfg.HandshakesPerSec))
	return gate{
		rate: rate.NewLimiter(rate.Limit(cfg.HandshakesPerSec), burst),
		all:  cfg.MaxConns,
		each: cfg.MaxConnsPerIP,
		mu:   new(sync.Mutex),
		byIP: make(map[string]int),
	}
}

// wait waits until one more handshake may begin.
func (g *gate) wait(ctx context.Context) error { return g.rate.Wait(ctx) }

// enter counts a connection; release ends it.
func (g *gate) enter(addr net.Addr) (release func(), err error) {
	ip, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		ip = addr.String()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.open >= g.all:
		return nil, fmt.Errorf("%d connections are open, limit %d", g.open, g.all)
	case g.byIP[ip] >= g.each:
		return nil, fmt.Errorf("%s has %d connections, limit %d", ip, g.byIP[ip], g.each)
	}
	g.open++
	g.byIP[ip]++
	return func() { g.leave(ip) }, nil
}

func (g *gate) leave(ip string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.byIP[ip]--; g.byIP[ip] == 0 {
		delete(g.byIP, ip)
	}
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

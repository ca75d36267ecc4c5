package sender

import (
	"net"
	"sync"
	"time"

	"dfetch/sources/wire"
)

const (
	runTime   = 20 * time.Millisecond // of the delivery rate, in one DATA frame
	firstRun  = maxRun                // bytes of a run while no rate is known
	headRoom  = 16 << 10              // of a run's buffer, for the frame's header and lengths
	maxRun    = 256<<10 - headRoom    // more falls out of the processor's cache between disk, TLS and socket
	maxChunks = 3000                  // of a run; four bytes each fit the head room
	askEvery  = 20 * time.Millisecond

	unsentTime  = 50 * time.Millisecond // of the delivery rate, that may wait in the socket
	leastUnsent = 16 << 10              // bytes; also while no rate is known
	// mostUnsent is some 30 ms of what BBR sends while it looks for the most that the path takes, at three times the
	// rate: less runs dry before the next frame is made.
	mostUnsent = 1 << 20
	// nearUnsent is the same on the loopback: more falls out of the processor's cache.
	nearUnsent = 128 << 10

	// Compressing costs one processor 4 to 8 ns a byte at the fastest level. It is worth that while the kernel delivers less
	// than slowRate. Where the kernel does not know, or a limit is set, it is while the connection takes
	// less and the writer spends most of its time waiting for it.
	slowRate  = 32 << 20
	slowShare = 0.7
	// slowFor is how long a connection counts as slow after it was seen to be. Compressed, it may
	// not look slow any more.
	slowFor = 3 * time.Second
)

// pacer knows how fast a connection takes bytes, and sizes its runs.
type pacer struct {
	tcp  wire.TCP
	zstd bool // the client can read it

	governed bool // the congestion control is BBR, and the governor holds it

	mu     sync.Mutex
	info   wire.TCPInfo
	asked  time.Time
	gov    governor
	pace   uint64        // bytes a second that TCP may send at most; 0: as it likes
	most   int           // of unsent
	unsent int           // bytes that may wait in the socket
	tight  bool          // the kernel's rate is below slowRate
	window time.Time     // start of the current window of writes
	busy   time.Duration // in it: time that frames waited for the limit and the network
	bytes  int64         // in it
	rate   float64       // by our own clock, where the kernel has none
	slow   time.Time     // until when the network counts as slow
}

// newPacer makes a pacer for a connection to a peer.
func newPacer(tcp wire.TCP, peer net.Addr) *pacer {
	p := &pacer{tcp: tcp, most: mostUnsent}
	if loopback(peer) {
		p.most = nearUnsent
	}
	p.limitUnsent(0)
	return p
}

// limitUnsent has the socket's queue follow the rate; a power of two, so that it is set seldom.
func (p *pacer) limitUnsent(rate uint64) {
	n := leastUnsent
	for n < p.most && float64(n) < float64(rate)*unsentTime.Seconds() {
		n *= 2
	}
	if n != p.unsent {
		p.unsent = n
		p.tcp.LimitUnsent(n)
	}
}

// wrote counts a write.
func (p *pacer) wrote(start, end time.Time, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.window.IsZero() {
		p.window = start
	}
	p.busy += end.Sub(start)
	p.bytes += int64(n)
	if d := end.Sub(p.window); d >= 5*askEvery {
		p.rate = float64(p.bytes) / d.Seconds()
		if p.busy.Seconds() >= slowShare*d.Seconds() && p.rate < slowRate {
			p.slow = end.Add(slowFor)
		}
		p.window, p.busy, p.bytes = end, 0, 0
	}
}

// look is what a DATA frame reports, at most askEvery old.
func (p *pacer) look(now time.Time) wire.TCPInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.asked) >= askEvery {
		info := p.tcp.Info()
		p.steer(now, info)
		p.take(info)
		p.asked = now
	}
	return p.info
}

// take notes what the kernel knows.
func (p *pacer) take(info wire.TCPInfo) {
	p.tight = info.Rate > 0 && info.Rate < slowRate
	p.limitUnsent(info.Rate)
	if info.Rate == 0 {
		info.Rate = uint64(p.rate)
	}
	p.info = info
}

// run is how many bytes the next DATA frame should have.
func (p *pacer) run(now time.Time) int {
	rate := p.look(now).Rate
	if rate == 0 {
		return firstRun
	}
	return int(min(uint64(maxRun), rate*uint64(runTime/time.Millisecond)/1000))
}

// packs says whether compressing may pay: the network is slow.
func (p *pacer) packs(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.zstd && (p.tight || now.Before(p.slow))
}

// steer has the governor look at the connection, and does what it says.
func (p *pacer) steer(now time.Time, info wire.TCPInfo) {
	if !p.governed {
		return
	}
	if pace := p.gov.look(now, info, p.tcp.BBR()); pace != p.pace {
		p.pace = pace
		p.tcp.LimitPace(pace)
	}
}

// dry says whether the socket has nothing to send now, and the network would take more.
func (p *pacer) dry() bool { return p.tcp.Info().Dry }

// paceOf is what DATA and PARTS say of the connection.
func paceOf(info wire.TCPInfo, starved bool) wire.Pace {
	p := wire.Pace{Rate: info.Rate, MinRTT: uint32(info.MinRTT.Microseconds())}
	if !starved {
		p.Unsent = max(1, info.Unsent)
	}
	return p
}

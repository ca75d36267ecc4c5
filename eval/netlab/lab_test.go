package netlab

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// crashEnv makes the test binary build a lab, start a process in it, tell and
// wait to be killed.
const crashEnv = "NETLAB_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) != "" {
		crash()
	}
	goleak.VerifyTestMain(m)
}

func needLab(t testing.TB) {
	t.Helper()
	if err := Supported(); err != nil {
		t.Skip(err)
	}
}

func pointToPoint(t testing.TB, cfg Config, s Settings) *Topology {
	t.Helper()
	needLab(t)
	lab, err := PointToPoint(cfg, s)
	return mustClose(t, lab, err)
}

func mustClose(t testing.TB, lab *Topology, err error) *Topology {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// listenUDP opens a socket on the host that closes with the test.
func listenUDP(t testing.TB, h *Host, addr netip.Addr) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func port16(c net.PacketConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

// blast sends packets of size bytes of IP from s to r1 at a rate for a while.
func blast(t *testing.T, lab *Topology, size, rate int, d time.Duration) {
	t.Helper()
	to := listenUDP(t, lab.Receivers[0], lab.Receivers[0].Addr4())
	from := listenUDP(t, lab.Sender, lab.Sender.Addr4())
	target := netip.AddrPortFrom(lab.Receivers[0].Addr4(), port16(to))
	payload := make([]byte, size-28)
	start := time.Now()
	for sent := 0; ; {
		elapsed := time.Since(start)
		if elapsed >= d {
			return
		}
		for ; float64(sent*size*8) < elapsed.Seconds()*float64(rate); sent++ {
			if _, err := from.WriteToUDPAddrPort(payload, target); err != nil {
				t.Fatal(err)
			}
		}
		pause(ms)
	}
}

// pause waits in real time, as a sender does between packets.
func pause(d time.Duration) { <-time.After(d) }

// settled waits until nothing is in flight on the first wire upwards.
func settled(t *testing.T, lab *Topology) Counters {
	t.Helper()
	for range 200 {
		c, err := lab.Wires[0].Counters()
		if err != nil {
			t.Fatal(err)
		}
		if u := c.Up; u.InPackets == u.OutPackets+u.Lost+u.QueueDrops {
			if u.DeviceDrops+u.DeliveryRefused > 0 {
				t.Fatalf("the kernel dropped packets: %+v", u)
			}
			return u
		}
		pause(10 * ms)
	}
	t.Fatal("packets stay in flight")
	return Counters{}
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s is %g, want %g within %g %%", what, got, want, tolerance*100)
	} else {
		t.Logf("%s: %g for %g", what, got, want)
	}
}

// tries is how often a figure is measured before it counts as wrong: a busy
// machine delays packets at random, an emulator that is off is off each time.
const tries = 6

// measured fails unless one of the tries comes within tolerance of want.
func measured(t *testing.T, what string, want, tolerance float64, measure func() float64) {
	t.Helper()
	var seen []float64
	for range tries {
		got := measure()
		if seen = append(seen, got); math.Abs(got-want) <= tolerance*want {
			t.Logf("%s: %g for %g", what, seen, want)
			return
		}
	}
	t.Errorf("%s is %g, want %g within %g %%", what, seen, want, tolerance*100)
}

func TestRealRate(t *testing.T) {
	const rate, size = 20_000_000, 1000
	measured(t, "rate", rate, 0.02, func() float64 {
		// The queue outlasts the sender's pauses on a busy machine.
		lab := pointToPoint(t, Config{}, Both(Shape{Rate: rate, Delay: 5 * ms, Queue: 500_000}))
		blast(t, lab, size, 1.5*rate, 1800*ms)
		c := settled(t, lab)
		if c.QueueDrops == 0 {
			t.Error("half too much was sent and nothing dropped")
		}
		t.Logf("lateness: mean %v, most %v", c.LateMean, c.LateMax)
		return float64(c.OutBytes-size) * 8 / (c.LastOut - c.FirstOut).Seconds()
	})
}

// echo answers on r1; ping returns the time until an answer from s.
func echo(t *testing.T, lab *Topology) (ping func() time.Duration) {
	t.Helper()
	server := listenUDP(t, lab.Receivers[0], lab.Receivers[0].Addr4())
	client := listenUDP(t, lab.Sender, lab.Sender.Addr4())
	target := netip.AddrPortFrom(lab.Receivers[0].Addr4(), port16(server))
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			server.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	return func() time.Duration {
		b := make([]byte, 100)
		start := time.Now()
		if _, err := client.WriteToUDPAddrPort(b, target); err != nil {
			t.Fatal(err)
		}
		client.SetReadDeadline(start.Add(5 * time.Second))
		if _, _, err := client.ReadFromUDPAddrPort(b); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
}

func repeat(n int, ping func() time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = ping()
	}
	return all
}

func TestRealDelayAndItsChange(t *testing.T) {
	lab := pointToPoint(t, Config{}, Settings{Up: Shape{Delay: 10 * ms}, Down: Shape{Delay: 30 * ms}})
	ping := echo(t, lab)
	least := func() float64 {
		least := slices.Min(repeat(25, ping))
		if least < 40*ms {
			t.Errorf("round trip %v is less than the delays", least)
		}
		return least.Seconds() * 1000
	}
	measured(t, "round trip (ms)", 40, 0.02, least)
	if err := lab.Wires[0].Set(Both(Shape{Delay: 40 * ms})); err != nil {
		t.Fatal(err)
	}
	measured(t, "round trip after the change (ms)", 80, 0.02, least)
}

func TestRealJitterIsTheLinks(t *testing.T) {
	const jitter, n = 40 * ms, 60
	shape := Shape{Delay: 2 * ms, Jitter: jitter}
	lab := pointToPoint(t, Config{Seed: 3}, Settings{Up: shape})
	ping := echo(t, lab)
	twin := NewLink(shape, 3<<16)
	var now time.Duration
	// How much longer the middle one of n round trips took than the link's own time for that packet.
	measured(t, "jitter with what the host adds (ms)", 40, 0.02, func() float64 {
		off := make([]time.Duration, n)
		for i, real := range repeat(n, ping) {
			now += time.Second
			twin.Push(now, packet(128))
			off[i] = real - (drainOne(t, twin, now).Due - now)
		}
		slices.Sort(off)
		if off[0] < 0 {
			t.Errorf("a round trip was %v shorter than the link's", -off[0])
		}
		return (jitter + off[n/2]).Seconds() * 1000
	})
}

func TestRealLossIsTheLinks(t *testing.T) {
	shape := Shape{Loss: 0.05, Burst: 4}
	lab := pointToPoint(t, Config{Seed: 11}, Settings{Up: shape})
	blast(t, lab, 100, 16_000_000, time.Second)
	c := settled(t, lab)
	if c.InPackets < 10_000 {
		t.Fatalf("only %d packets were sent", c.InPackets)
	}
	want := 0
	for _, lost := range losses(shape, 11<<16, int(c.InPackets)) {
		if lost {
			want++
		}
	}
	if c.Lost != int64(want) {
		t.Errorf("lost %d of %d, want exactly the seed's %d", c.Lost, c.InPackets, want)
	}
}

func TestRealQueue(t *testing.T) {
	const queue, rate = 50_000, 10_000_000
	lab := pointToPoint(t, Config{}, Both(Shape{Rate: rate, Queue: queue}))
	blast(t, lab, 500, 4*rate, 500*ms)
	c := settled(t, lab)
	within(t, "fullest queue", float64(c.PeakQueueBytes), queue, 0.02)
	if c.PeakQueueBytes > queue || c.QueueDrops == 0 {
		t.Errorf("queue of %d held %d, dropped %d", queue, c.PeakQueueBytes, c.QueueDrops)
	}
}

func TestRealScript(t *testing.T) {
	base := Both(Shape{Rate: 40_000_000, Queue: 200_000})
	steps, err := ParseScript(base, "at 500ms up rate=8M")
	if err != nil {
		t.Fatal(err)
	}
	// Half a second at 40 Mbit/s, one at 8, and the queue after the end.
	measured(t, "bytes through", 2_500_000+1_000_000+200_000, 0.1, func() float64 {
		lab := pointToPoint(t, Config{}, base)
		if err := lab.Wires[0].Play(steps); err != nil {
			t.Fatal(err)
		}
		blast(t, lab, 1000, 60_000_000, 1500*ms)
		return float64(settled(t, lab).OutBytes)
	})
}

// transfer sends n bytes over TCP and tells how many came.
func transfer(from, to *Host, addr netip.Addr, n int64) (int64, error) {
	var l *net.TCPListener
	err := to.Do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	var c *net.TCPConn
	err = from.Do(func() (err error) {
		c, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	l.SetDeadline(time.Now().Add(5 * time.Second))
	in, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	sent := make(chan error, 1)
	go func() { sent <- send(c, n) }()
	in.SetDeadline(time.Now().Add(30 * time.Second))
	got, err := io.Copy(io.Discard, onlyReader{in})
	return got, errors.Join(err, <-sent)
}

// onlyReader keeps io.Copy from splicing.
type onlyReader struct{ io.Reader }

func send(c *net.TCPConn, n int64) error {
	b := make([]byte, 256<<10)
	for ; n > 0; n -= int64(len(b)) {
		if _, err := c.Write(b[:min(n, int64(len(b)))]); err != nil {
			return err
		}
	}
	return c.CloseWrite()
}

func TestStarReachesAllByBothFamilies(t *testing.T) {
	needLab(t)
	fast := Both(Shape{Delay: ms, Loss: 0.01})
	star, err := Star(Config{}, fast, []Settings{fast, fast, fast})
	lab := mustClose(t, star, err)
	const n = 300_000
	for i, r := range lab.Receivers {
		for _, addr := range []netip.Addr{lab.Sender.Addr4(), lab.Sender.Addr6()} {
			if got, err := transfer(r, lab.Sender, addr, n); got != n || err != nil {
				t.Errorf("%s to %v: %d bytes, %v", r.Name(), addr, got, err)
			}
		}
		next := lab.Receivers[(i+1)%3]
		if got, err := transfer(r, next, next.Addr6(), n); got != n || err != nil {
			t.Errorf("%s to %s: %d bytes, %v", r.Name(), next.Name(), got, err)
		}
	}
	counters, err := lab.Counters()
	if err != nil || len(counters) != 4 {
		t.Fatalf("%d wires' counters, %v", len(counters), err)
	}
	if c := counters[0]; c.A != "s" || c.B != "x" || c.Down.OutBytes < 6*n {
		t.Errorf("the uplink's counters %+v lack what s received", c)
	}
}

func TestSitesShareTheThinWire(t *testing.T) {
	needLab(t)
	sites, err := Sites(Config{}, Both(Shape{Delay: 5 * ms}), Settings{}, 2, 2)
	lab := mustClose(t, sites, err)
	const n = 100_000
	for _, pair := range [][2]*Host{{lab.Sender, lab.Receivers[1]}, {lab.Receivers[0], lab.Beside[0]}, {lab.Sender, lab.Beside[0]}} {
		if got, err := transfer(pair[0], pair[1], pair[1].Addr4(), n); got != n || err != nil {
			t.Errorf("%s to %s: %d bytes, %v", pair[0].Name(), pair[1].Name(), got, err)
		}
	}
	c, err := lab.Wires[0].Counters()
	if err != nil || c.Up.OutBytes < n || c.Down.OutBytes < n || c.Up.OutBytes > 2*n || c.Down.OutBytes > 2*n {
		t.Errorf("the thin wire carried %d up, %d down, %v; want one transfer each way", c.Up.OutBytes, c.Down.OutBytes, err)
	}
}

func TestHostSettings(t *testing.T) {
	lab := pointToPoint(t, Config{TCPBufferMax: 1 << 20, CongestionControl: "reno"}, Settings{})
	show := func(key string) string {
		out, err := lab.Sender.Command(t.Context(), "cat", "/proc/sys/net/"+key).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	for key, want := range map[string]string{
		ccKey: "reno", "ipv4/tcp_no_metrics_save": "1", "ipv4/tcp_wmem": "4096 16384 1048576",
	} {
		if got := show(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if err := lab.Sender.SetCongestionControl("nosuch"); err == nil || !strings.Contains(err.Error(), "host s") {
		t.Errorf("unknown congestion control: %v", err)
	}
}

func TestLabRefuses(t *testing.T) {
	lab := pointToPoint(t, Config{}, Settings{})
	if _, err := lab.Host("Much-Too-Long-A-Name"); err == nil {
		t.Error("a bad host name was taken")
	}
	if _, err := lab.Link(lab.Sender, lab.Receivers[0], Settings{}); err == nil {
		t.Error("two hosts were linked twice")
	}
	if _, err := lab.Link(lab.Sender, lab.Sender, Settings{}); err == nil {
		t.Error("a host was linked to itself")
	}
	if err := lab.Wires[0].Set(Both(Shape{Loss: 2})); err == nil {
		t.Error("a loss of 200 % was taken")
	}
	if _, err := New(Config{MTU: 100}); err == nil {
		t.Error("an MTU of 100 was taken")
	}
}

func TestProcsComeBack(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	reserveProcs(2)
	reserveProcs(1)
	if got := runtime.GOMAXPROCS(0); got != before+3 {
		t.Errorf("%d reserved, want %d", got, before+3)
	}
	releaseProcs(3)
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d reserved after the release, want %d", got, before)
	}
}

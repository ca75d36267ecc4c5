package sender

import (
	"dfetch/sources/wire"
	"net"
	"testing"
)

func TestCongestion(t *testing.T) {
	far := &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}
	for _, c := range []struct {
		configured string
		peer       net.Addr
		want       string
		governed   bool
	}{
		{"bbr", far, "bbr", false},
		{"bbr", &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}, "cubic", false},
		{"bbr", &net.TCPAddr{IP: net.IPv6loopback}, "cubic", false},
		{AutoCongestion, &net.TCPAddr{IP: net.IPv6loopback}, "cubic", false},
		{AutoCongestion, far, "bbr", true},
		{"", &net.TCPAddr{IP: net.IPv6loopback}, "", false},
		{"bbr", &net.UnixAddr{}, "bbr", false},
		{"", far, "", false},
	} {
		if got, governed := congestion(c.configured, c.peer); got != c.want || governed != c.governed {
			t.Errorf("%q for %v: %q, governed %v, want %q, %v", c.configured, c.peer, got, governed, c.want, c.governed)
		}
	}
}

// Where the kernel does not have what is asked for, nothing is governed and nothing fails.
func TestCongestionThatTheKernelLacks(t *testing.T) {
	far := &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}
	for _, configured := range []string{AutoCongestion, "bbr", "", "none of that name"} {
		if useCongestion(wire.TCP{}, configured, far) {
			t.Errorf("%q is governed", configured)
		}
	}
}

// What waits in the socket can't be taken back: on a slow line it is little, on a fast one enough to fill it.
func TestUnsentFollowsTheRate(t *testing.T) {
	far := newPacer(wire.TCP{}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)})
	near := newPacer(wire.TCP{}, &net.TCPAddr{IP: net.IPv6loopback})
	for _, c := range []struct {
		rate      uint64
		far, near int
	}{
		{0, 16 << 10, 16 << 10}, {193_000, 16 << 10, 16 << 10}, {1_000_000, 64 << 10, 64 << 10},
		{2_500_000, 128 << 10, 128 << 10}, {12_500_000, 1 << 20, 128 << 10}, {1 << 40, 1 << 20, 128 << 10},
	} {
		far.take(wire.TCPInfo{Rate: c.rate})
		near.take(wire.TCPInfo{Rate: c.rate})
		if far.unsent != c.far || near.unsent != c.near {
			t.Errorf("at %d bytes a second %d and %d may wait, want %d and %d", c.rate, far.unsent, near.unsent, c.far, c.near)
		}
	}
}

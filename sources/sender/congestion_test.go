package sender

import (
	"net"
	"testing"
)

func TestCongestion(t *testing.T) {
	far := &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}
	for _, c := range []struct {
		configured string
		peer       net.Addr
		want       string
	}{
		{"bbr", far, "bbr"},
		{"bbr", &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}, "cubic"},
		{"bbr", &net.TCPAddr{IP: net.IPv6loopback}, "cubic"},
		{"", &net.TCPAddr{IP: net.IPv6loopback}, ""},
		{"bbr", &net.UnixAddr{}, "bbr"},
		{"", far, ""},
	} {
		if got := congestion(c.configured, c.peer); got != c.want {
			t.Errorf("%q for %v: %q, want %q", c.configured, c.peer, got, c.want)
		}
	}
}

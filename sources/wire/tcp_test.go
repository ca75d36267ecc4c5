package wire

import (
	"math"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLimitPace(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tcp := TCPOf(conn)
	const none = -1
	for _, c := range []struct {
		rate uint64
		want int
	}{
		{12e6, 12e6}, {0, none}, {1, 1}, {math.MaxInt32, math.MaxInt32}, {math.MaxInt32 + 1, none}, {1, 1}, {math.MaxUint64, none},
	} {
		tcp.LimitPace(c.rate)
		got := 0
		ctl := tcp.raw.Control(func(fd uintptr) {
			got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE)
		})
		if ctl != nil || err != nil {
			t.Fatal(ctl, err)
		}
		if int32(got) != int32(c.want) {
			t.Errorf("limit of %d: the kernel has %d, want %d", c.rate, int32(got), c.want)
		}
	}
	TCP{}.LimitPace(1) // knows no socket
}

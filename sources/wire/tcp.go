package wire

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TCPInfo is what the kernel knows of a connection. Zero is not known.
type TCPInfo struct {
	Rate   uint64 // delivery rate, bytes a second
	MinRTT time.Duration
	Unsent uint32 // bytes that wait in the socket
	Dry    bool   // nothing waits, and the network would take more
}

// TCP asks the kernel about one connection. The zero TCP, and one that is not TCP, know nothing.
type TCP struct{ raw syscall.RawConn }

// TCPOf finds the socket of a connection.
func TCPOf(c net.Conn) TCP {
	if t, ok := c.(*net.TCPConn); ok {
		if raw, err := t.SyscallConn(); err == nil {
			return TCP{raw: raw}
		}
	}
	return TCP{}
}

// LimitUnsent keeps the socket's queue of what the network can't take yet at about n bytes: what waits there can't
// be canceled any more. Failing costs latency, nothing else.
func (t TCP) LimitUnsent(n int) {
	if t.raw != nil {
		_ = t.raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n)
		})
	}
}

// UseCongestion sets the congestion control of the connection, as far as the kernel has it and
// allows it; else the system's stays.
func (t TCP) UseCongestion(name string) {
	if t.raw != nil {
		_ = t.raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
		})
	}
}

// Info asks the kernel.
func (t TCP) Info() TCPInfo {
	var info TCPInfo
	if t.raw == nil {
		return info
	}
	_ = t.raw.Control(func(fd uintptr) {
		k, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		info = TCPInfo{Rate: k.Delivery_rate, Unsent: k.Notsent_bytes}
		info.Dry = k.Notsent_bytes == 0 && k.Unacked < k.Snd_cwnd
		if k.Min_rtt != ^uint32(0) {
			info.MinRTT = time.Duration(k.Min_rtt) * time.Microsecond
		}
	})
	return info
}

package wire

import (
	"math"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TCPInfo is what the kernel knows of a connection. Zero is not known.
type TCPInfo struct {
	Rate   uint64 // delivery rate, bytes a second
	MinRTT time.Duration
	RTT    time.Duration // as it is lately
	Unsent uint32        // bytes that wait in the socket
	Dry    bool          // nothing waits, and the network would take more

	Segment uint32 // bytes of a full packet
	Flying  uint32 // packets on their way
	Arrived uint32 // packets with data that ever arrived
}

// BBRInfo is what BBR knows of its path. Zero is not known.
type BBRInfo struct {
	Rate uint64  // the most that arrived lately, bytes a second
	Gain float64 // times the rate that it sends at now
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
// allows it; else the one that it had stays, and false comes back.
func (t TCP) UseCongestion(name string) bool {
	if t.raw == nil {
		return false
	}
	var fault error
	err := t.raw.Control(func(fd uintptr) {
		fault = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	})
	return err == nil && fault == nil
}

// LimitPace keeps the connection from sending faster than this many bytes a second; 0 lifts the limit, and so does more
// than 2 GiB a second.
func (t TCP) LimitPace(rate uint64) {
	if t.raw == nil {
		return
	}
	pace := -1 // none, to the kernel
	if rate > 0 && rate <= math.MaxInt32 {
		pace = int(rate)
	}
	_ = t.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, pace)
	})
}

// BBR asks the kernel what BBR knows. It may be called only while that is the connection's congestion control.
func (t TCP) BBR() BBRInfo {
	var info BBRInfo
	if t.raw == nil {
		return info
	}
	_ = t.raw.Control(func(fd uintptr) {
		k, err := unix.GetsockoptTCPCCBBRInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CC_INFO)
		if err != nil {
			return
		}
		const one = 256 // the kernel's gains are fractions of this
		info = BBRInfo{
			Rate: uint64(k.Bw_hi)<<32 | uint64(k.Bw_lo),
			Gain: float64(k.Pacing_gain) / one,
		}
	})
	return info
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
		info = TCPInfo{
			Rate: k.Delivery_rate, RTT: time.Duration(k.Rtt) * time.Microsecond, Unsent: k.Notsent_bytes,
			Segment: k.Snd_mss, Flying: k.Unacked, Arrived: k.Delivered,
		}
		info.Dry = k.Notsent_bytes == 0 && k.Unacked < k.Snd_cwnd
		if k.Min_rtt != ^uint32(0) {
			info.MinRTT = time.Duration(k.Min_rtt) * time.Microsecond
		}
	})
	return info
}

package backpressure

import (
	"bytes"
	"time"
)

// CPUSampler reads how busy the cores are. It is not safe for concurrent use.
type CPUSampler struct {
	file string
	buf  []byte
	at   time.Time
	last CPUSample
}

// NewCPUSampler reads from /proc.
func NewCPUSampler() *CPUSampler {
	return &CPUSampler{file: "/proc/stat", buf: make([]byte, 4<<10)}
}

// Sample returns the time of all cores, read at most ten times a second; negative if the machine
// doesn't tell.
func (s *CPUSampler) Sample(now time.Time) CPUSample {
	if s.at.IsZero() || now.Sub(s.at) >= sampleWindow {
		s.at, s.last = now, s.read()
	}
	return s.last
}

// cpuFields are the columns that add up to all time: user, nice, system, idle, iowait, irq, softirq,
// steal.
const cpuFields = 8

func (s *CPUSampler) read() CPUSample {
	data, ok := readProc(s.file, s.buf)
	if !ok {
		return UnknownCPU
	}
	rest, ok := bytes.CutPrefix(data, []byte("cpu "))
	if !ok {
		return UnknownCPU
	}
	var sum CPUSample
	for i := range cpuFields {
		rest = bytes.TrimLeft(rest, " ")
		n, ok := number(rest)
		if !ok {
			return UnknownCPU
		}
		rest = bytes.TrimLeft(rest, "0123456789")
		sum.Total += n
		if i == 3 || i == 4 {
			sum.Idle += n
		}
	}
	return sum
}

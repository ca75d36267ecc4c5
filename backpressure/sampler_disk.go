package backpressure

import (
	"bytes"
	"os"
	"time"
)

// maxProcFile bounds what is read of a file of /proc.
const maxProcFile = 64 << 10

// DiskSampler reads how long anything waited for a disk, and what other programs do there. It is not
// safe for concurrent use.
type DiskSampler struct {
	files       samplerFiles
	buf         []byte
	read, wrote int64 // bytes of other programs, the largest seen
}

// samplerFiles are where the kernel keeps what is sampled.
type samplerFiles struct {
	pressure, diskstats, own string
}

// NewDiskSampler reads from /proc.
func NewDiskSampler() *DiskSampler {
	return &DiskSampler{
		files: samplerFiles{"/proc/pressure/io", "/proc/diskstats", "/proc/self/io"},
		buf:   make([]byte, maxProcFile),
	}
}

// Sample reads now. What the machine doesn't tell is negative.
func (s *DiskSampler) Sample() DiskSample {
	return DiskSample{Stall: s.stall(), Others: s.others()}
}

// stall is the total of the line "some".
func (s *DiskSampler) stall() time.Duration {
	data, ok := readProc(s.files.pressure, s.buf)
	if !ok {
		return -1
	}
	line, ok := afterLabel(data, "some ")
	if !ok {
		return -1
	}
	n, ok := labelled(line, "total=")
	if !ok {
		return -1
	}
	return time.Duration(n) * time.Microsecond
}

// others is the bytes that all disks moved less this program's own. Own writes count when the page
// gets dirty, and the disk's when it is written back; so only a new maximum of what the disks wrote
// beyond our own is somebody else's.
func (s *DiskSampler) others() int64 {
	data, ok := readProc(s.files.diskstats, s.buf)
	if !ok {
		return -1
	}
	read, written := diskBytes(data)
	data, ok = readProc(s.files.own, s.buf)
	ownRead, ok1 := labelled(data, "\nread_bytes: ")
	ownWritten, ok2 := labelled(data, "\nwrite_bytes: ")
	if !ok || !ok1 || !ok2 {
		return -1
	}
	s.read = max(s.read, read-ownRead)
	s.wrote = max(s.wrote, written-ownWritten)
	return s.read + s.wrote
}

// sector is the unit of /proc/diskstats, whatever the disk's own is.
const sector = 512

// diskBytes sums what was read from and written to the disks that /proc/diskstats lists. Partitions,
// which follow their disk, and devices on top of others would count twice.
func diskBytes(data []byte) (read, written int64) {
	var disk []byte
	for line := range bytes.Lines(data) {
		name, r, w, ok := diskLine(line)
		if !ok || virtualDisk(name) || partOf(name, disk) {
			continue
		}
		disk = name
		read += r * sector
		written += w * sector
	}
	return read, written
}

// diskLine takes name, sectors read and sectors written from a line.
func diskLine(line []byte) (name []byte, read, written int64, ok bool) {
	for i := 0; i < 10; i++ {
		line = bytes.TrimLeft(line, " ")
		end := bytes.IndexAny(line, " \n")
		if end <= 0 {
			return nil, 0, 0, false
		}
		field := line[:end]
		line = line[end:]
		ok = true
		switch i {
		case 2:
			name = field
		case 5:
			read, ok = number(field)
		case 9:
			written, ok = number(field)
		}
		if !ok {
			return nil, 0, 0, false
		}
	}
	return name, read, written, true
}

// partOf tells a partition's name: its disk's, and a number.
func partOf(name, disk []byte) bool {
	rest, ok := bytes.CutPrefix(name, disk)
	if !ok || len(disk) == 0 {
		return false
	}
	rest = bytes.TrimPrefix(rest, []byte("p"))
	return len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
}

// virtualDisk tells devices in memory and those that pass on to another disk.
func virtualDisk(name []byte) bool {
	for _, p := range [...]string{"loop", "ram", "zram", "dm-", "md"} {
		if len(name) >= len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// labelled is the number after a label.
func labelled(data []byte, label string) (int64, bool) {
	rest, ok := afterLabel(data, label)
	if !ok {
		return 0, false
	}
	return number(rest)
}

// readProc reads the beginning of a file into buf.
func readProc(name string, buf []byte) ([]byte, bool) {
	f, err := os.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	n := 0
	for n < len(buf) {
		m, err := f.Read(buf[n:])
		n += m
		if err != nil || m == 0 {
			break
		}
	}
	return buf[:n], n > 0
}

// afterLabel is what follows a label.
func afterLabel(data []byte, label string) ([]byte, bool) {
	_, after, ok := bytes.Cut(data, []byte(label))
	return after, ok
}

// maxDigits keeps number from overflowing.
const maxDigits = 18

// number reads the digits at the beginning.
func number(data []byte) (n int64, ok bool) {
	for i := 0; i < len(data) && data[i] >= '0' && data[i] <= '9'; i++ {
		if i == maxDigits {
			return 0, false
		}
		n, ok = 10*n+int64(data[i]-'0'), true
	}
	return n, ok
}

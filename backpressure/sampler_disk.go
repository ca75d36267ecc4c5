package backpressure

import (
	"bytes"
	"time"
)

// DiskSampler reads how long anything waited for a disk, and what other programs do there. It is not
// safe for concurrent use.
type DiskSampler struct {
	files       samplerFiles
	buf         []byte
	read, wrote int64 // bytes of other programs, the largest seen
	at          time.Time
	last        DiskSample
	writing     int64
}

// samplerFiles are where the kernel keeps what is sampled.
type samplerFiles struct {
	pressure, diskstats, own, memory string
}

// NewDiskSampler reads from /proc.
func NewDiskSampler() *DiskSampler {
	return &DiskSampler{
		files: samplerFiles{"/proc/pressure/io", "/proc/diskstats", "/proc/self/io", "/proc/meminfo"},
		buf:   make([]byte, maxProcFile),
	}
}

// Sample returns what the machine tells, read at most ten times a second; what it doesn't tell is
// negative.
func (s *DiskSampler) Sample(now time.Time) DiskSample {
	s.refresh(now)
	return s.last
}

// Writeback is how many bytes the kernel is writing, read at the same times; negative if unknown.
func (s *DiskSampler) Writeback(now time.Time) int64 {
	s.refresh(now)
	return s.writing
}

func (s *DiskSampler) refresh(now time.Time) {
	if !s.at.IsZero() && now.Sub(s.at) < sampleWindow {
		return
	}
	s.at = now
	s.last = DiskSample{Stall: s.stall()}
	s.last.Others, s.last.Wrote = s.others()
	s.writing = s.writeback()
}

func (s *DiskSampler) writeback() int64 {
	data, ok := readProc(s.files.memory, s.buf)
	if !ok {
		return -1
	}
	kib, ok := labelled(data, "\nWriteback:")
	if !ok {
		return -1
	}
	return kib << 10
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

// others is the bytes that all disks moved less this program's own, and those of them that were written.
// Own writes count when the page gets dirty, and the disk's when it is written back; so only a new maximum
// of what the disks wrote beyond our own is somebody else's.
func (s *DiskSampler) others() (moved, wrote int64) {
	data, ok := readProc(s.files.diskstats, s.buf)
	if !ok {
		return -1, 0
	}
	read, written := diskBytes(data)
	data, ok = readProc(s.files.own, s.buf)
	ownRead, ok1 := labelled(data, "\nread_bytes: ")
	ownWritten, ok2 := labelled(data, "\nwrite_bytes: ")
	if !ok || !ok1 || !ok2 {
		return -1, 0
	}
	s.read = max(s.read, read-ownRead)
	s.wrote = max(s.wrote, written-ownWritten)
	return s.read + s.wrote, s.wrote
}

// sector is the unit of /proc/diskstats, whatever the disk's own is.
const sector = 512

// maxSectors of one disk, half an exabyte, is more than a kernel has counted: a larger number is none.
const maxSectors = 1 << 50

// diskBytes sums what was read from and written to the disks that /proc/diskstats lists. Partitions,
// which follow their disk, and devices on top of others would count twice.
func diskBytes(data []byte) (read, written int64) {
	var disk []byte
	for line := range bytes.Lines(data) {
		name, r, w, ok := diskLine(line)
		if !ok || max(r, w) > maxSectors || virtualDisk(name) || partOf(name, disk) {
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

package backpressure

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func rewrite(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	pressureText = "some avg10=0.88 avg60=4.86 avg300=3.02 total=85795717\nfull avg10=0.74 avg60=3.98 avg300=2.41 total=49544300\n"
	ownText      = "rchar: 6976\nwchar: 0\nsyscr: 10\nsyscw: 0\nread_bytes: 4096\nwrite_bytes: 1024\ncancelled_write_bytes: 0\n"
	memoryText   = "MemTotal:  8000000 kB\nDirty:   100 kB\nWriteback:     64 kB\nWritebackTmp:   7 kB\n"
)

// sda has two partitions and lies below dm-0: only its own line counts.
const diskText = `   7       0 loop0 0 0 9 0 0 0 9 0 0 0 0
   8       0 sda 5 0 100 3 5 0 40 1 0 0 0
   8       1 sda1 5 0 60 3 5 0 40 1 0 0 0
   8       2 sda2 5 0 40 3 5 0 0 1 0 0 0
 252       0 dm-0 5 0 100 3 5 0 40 1 0 0 0
 259       0 nvme0n1 5 0 10 3 5 0 2 1 0 0 0
 259       1 nvme0n1p1 5 0 10 3 5 0 2 1 0 0 0
garbage
`

func TestDiskSampler(t *testing.T) {
	s := NewDiskSampler()
	s.files = samplerFiles{write(t, pressureText), write(t, diskText), write(t, ownText), write(t, memoryText)}
	got := s.Sample(start)
	want := DiskSample{Stall: 85795717 * time.Microsecond, Others: 110*sector - 4096 + 42*sector - 1024, Wrote: 42*sector - 1024}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if w := s.Writeback(start); w != 64<<10 {
		t.Errorf("writeback %d", w)
	}
}

// Own writes that reach the disk later are not somebody else's.
func TestOwnWritesAreOwn(t *testing.T) {
	s := NewDiskSampler()
	s.files.diskstats, s.files.own = write(t, "8 0 sda 0 0 0 0 0 0 0 0\n"), write(t, "a\nread_bytes: 0\nwrite_bytes: 0\n")
	before := s.Sample(start).Others
	rewrite(t, s.files.own, "a\nread_bytes: 0\nwrite_bytes: 1048576\n")
	s.Sample(start.Add(sampleWindow))
	rewrite(t, s.files.diskstats, "8 0 sda 0 0 0 0 0 0 2048 0\n")
	if after := s.Sample(start.Add(2 * sampleWindow)).Others; after != before {
		t.Errorf("others moved %d bytes", after-before)
	}
}

// The files are read ten times a second at most.
func TestSamplersRest(t *testing.T) {
	s := NewDiskSampler()
	s.files.pressure = write(t, pressureText)
	first := s.Sample(start)
	rewrite(t, s.files.pressure, "some total=99\n")
	if got := s.Sample(start.Add(sampleWindow - 1)); got != first {
		t.Errorf("read again too early: %+v", got)
	}
	if got := s.Sample(start.Add(sampleWindow)); got.Stall != 99*time.Microsecond {
		t.Errorf("not read again: %+v", got)
	}
}

// What is missing or strange is unknown.
func TestSamplersWithoutFiles(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for _, name := range []string{gone, write(t, ""), write(t, "some total=\ncpu x\n"), write(t, "some total=99999999999999999999999\n")} {
		d := NewDiskSampler()
		d.files = samplerFiles{name, gone, name, name}
		if got := d.Sample(start); got != UnknownDisk || d.Writeback(start) != -1 {
			t.Errorf("got %+v", got)
		}
		c := NewCPUSampler()
		c.file = name
		if got := c.Sample(start); got != UnknownCPU {
			t.Errorf("got %+v", got)
		}
	}
}

func TestCPUSampler(t *testing.T) {
	c := NewCPUSampler()
	c.file = write(t, "cpu  10 1 20 300 40 5 6 7 1000 1000\ncpu0 1 1 1 1\n")
	if got := c.Sample(start); got != (CPUSample{Idle: 340, Total: 389}) {
		t.Errorf("got %+v", got)
	}
}

// On the machine of the test every sampler either knows or says that it doesn't.
func TestSamplersHere(t *testing.T) {
	d := NewDiskSampler()
	if s := d.Sample(start); s.Stall < -1 || s.Others < -1 || s.Wrote > max(0, s.Others) || d.Writeback(start) < -1 {
		t.Errorf("got %+v", s)
	}
	if s := NewCPUSampler().Sample(start); s != UnknownCPU && (s.Total <= 0 || s.Idle > s.Total) {
		t.Errorf("got %+v", s)
	}
}

func FuzzDiskLines(f *testing.F) {
	f.Add([]byte(diskText))
	f.Add([]byte("1 2 a 3 4 5 6 7 8 9"))
	f.Add([]byte("1 2 a 3 4 5 6 7 8 20000000000000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, w := diskBytes(data); len(data) < 100 && (r < 0 || w < 0) {
			t.Errorf("read %d, written %d", r, w)
		}
	})
}

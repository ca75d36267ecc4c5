package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"dfetch/recipe"
)

// The journal file is a header and records of one size, each with a CRC-32C of its own:
//
//	header = magic[8] recipe[32] boot[16] mount[8] crc[4]
//	record = kind[1] a[8] b[8] c[8] crc[4]
//
// Numbers are little-endian. Reading stops at the first record that is cut short or does not match
// its sum: what was being appended in a crash.
const (
	journalMagic = "dfjrnl1\n"
	headerSize   = 8 + 32 + 16 + 8 + 4
	recordSize   = 1 + 3*8 + 4
)

// recordKind says what a record means.
type recordKind byte

const (
	recFile    recordKind = 'F' // entry a is staged from now on, as inode b with size c
	recExtent  recordKind = 'E' // of entry a, c bytes at b are verified
	recWhole   recordKind = 'W' // both in one: entry a, inode b, all of its c bytes
	recBarrier recordKind = 'B' // everything before offset a of the journal is durable
)

type record struct {
	kind    recordKind
	a, b, c uint64
}

// header says where and when a journal was written.
type header struct {
	recipe recipe.ID
	boot   [16]byte
	mount  uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errJournal = errors.New("not a journal")

func appendHeader(b []byte, h header) []byte {
	start := len(b)
	b = append(b, journalMagic...)
	b = append(b, h.recipe[:]...)
	b = append(b, h.boot[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.mount)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func appendRecord(b []byte, r record) []byte {
	start := len(b)
	b = append(b, byte(r.kind))
	b = binary.LittleEndian.AppendUint64(b, r.a)
	b = binary.LittleEndian.AppendUint64(b, r.b)
	b = binary.LittleEndian.AppendUint64(b, r.c)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// sealed tells whether b ends with the sum of what is before.
func sealed(b []byte) bool {
	n := len(b) - 4
	return binary.LittleEndian.Uint32(b[n:]) == crc32.Checksum(b[:n], castagnoli)
}

// scanJournal reads a journal and calls fn with each record and its offset.
func scanJournal(src io.Reader, fn func(off uint64, r record)) (h header, err error) {
	r := bufio.NewReaderSize(src, 64<<10)
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:8]) != journalMagic || !sealed(head[:]) {
		return h, errJournal
	}
	copy(h.recipe[:], head[8:])
	copy(h.boot[:], head[40:])
	h.mount = binary.LittleEndian.Uint64(head[56:])
	var b [recordSize]byte
	for off := uint64(headerSize); ; off += recordSize {
		if _, err := io.ReadFull(r, b[:]); err != nil || !sealed(b[:]) {
			return h, nil
		}
		fn(off, record{recordKind(b[0]), binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:]), binary.LittleEndian.Uint64(b[17:])})
	}
}

// stagedState is what a journal says of one staged file.
type stagedState struct {
	ino     uint64
	size    int64
	durable extents // before a barrier
	recent  extents // after the last one, and still to be believed
}

// loadJournal reads a journal twice: for its last barrier, then for what it says. Records after the
// last barrier count only if the journal was written since this boot on this mount.
func loadJournal(src io.ReadSeeker, now header) (map[uint64]*stagedState, error) {
	var covers uint64
	then, err := scanJournal(src, func(off uint64, r record) {
		if r.kind == recBarrier && r.a <= off {
			covers = max(covers, r.a)
		}
	})
	if err == nil && then.recipe != now.recipe {
		err = errJournal
	}
	if err != nil {
		return nil, err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	states := make(map[uint64]*stagedState)
	_, err = scanJournal(src, func(off uint64, r record) {
		if durable := off < covers; durable || then == now {
			applyRecord(states, r, durable)
		}
	})
	return states, err
}

func applyRecord(states map[uint64]*stagedState, r record, durable bool) {
	switch r.kind {
	case recFile, recWhole:
		if int64(r.c) < 0 {
			delete(states, r.a)
			return
		}
		s := &stagedState{ino: r.b, size: int64(r.c)}
		states[r.a] = s
		if r.kind == recWhole {
			s.add(Extent{0, s.size}, durable)
		}
	case recExtent:
		s, e := states[r.a], Extent{int64(r.b), int64(r.c)}
		if s != nil && e.Off >= 0 && e.Len > 0 && e.Off <= s.size && e.Len <= s.size-e.Off {
			s.add(e, durable)
		}
	}
}

func (s *stagedState) add(e Extent, durable bool) {
	if durable {
		s.durable.add(e)
	} else {
		s.recent.add(e)
	}
}

// believed is all that may be trusted.
func (s *stagedState) believed() extents {
	all := append(extents(nil), s.durable...)
	for _, e := range s.recent {
		all.add(e)
	}
	return all
}

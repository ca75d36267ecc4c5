package sender

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dfetch/sources"
	"dfetch/sources/wire"
)

const (
	partsRun    = 16 << 10 // bytes of a PARTS frame at least, if so much is asked for: smaller ones compress badly
	maxRunSpans = 512      // of a PARTS frame: its table takes less than the head room, even at 22 bytes a span
)

// partsStep sends one PARTS frame, and FAIL for what can't be read; false if no parts are next.
func (f *filler) partsStep(ctx context.Context) (bool, error) {
	parts := f.s.nextParts(int64(max(partsRun, f.s.pace.run(time.Now()))))
	if len(parts) == 0 {
		return false, nil
	}
	size := int64(0)
	for i := range parts {
		size += parts[i].Bytes()
	}
	buf := sources.NewBuffer(headRoom + int(size))
	dst := buf.Data[headRoom:headRoom]
	good := parts[:0:len(parts)]
	for _, p := range parts {
		longer, err := f.loadPart(ctx, dst, p)
		if err != nil {
			if err = f.failPart(ctx, p, err); err != nil {
				buf.Release()
				return true, err
			}
			continue
		}
		dst, good = longer, append(good, p)
	}
	if len(good) == 0 {
		buf.Release()
		return true, nil
	}
	return true, f.s.put(ctx, f.partsFrame(good, len(dst), buf))
}

// loadPart appends a part's bytes to dst, which has room for them.
func (f *filler) loadPart(ctx context.Context, dst []byte, p wire.Part) ([]byte, error) {
	where, err := f.cursor.at(ctx, p.Ordinal)
	if err != nil {
		return nil, err
	}
	for _, s := range p.Spans {
		if uint64(s.Off)+uint64(s.Len) > uint64(where.size) {
			return nil, fmt.Errorf("chunk %d has %d bytes, not %d+%d: %w", p.Ordinal, where.size, s.Off, s.Len, sources.ErrNotHeld)
		}
		n := len(dst)
		dst = dst[:n+int(s.Len)]
		if err := f.files.read(where.file, where.off+int64(s.Off), dst[n:]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (f *filler) failPart(ctx context.Context, p wire.Part, fault error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.s.srv.count.changed.Add(1)
	return f.s.put(ctx, failFrame(p.Ordinal, 1, fault))
}

// partsFrame makes the PARTS frame of parts that lie in buf behind the head room. It takes buf. Who asks
// for parts has a slow link, so compressing is tried at once.
func (f *filler) partsFrame(parts []wire.Part, size int, buf *sources.Buffer) *frame {
	f.table = f.table[:0]
	for _, p := range parts {
		f.table = wire.AppendPart(f.table, p)
	}
	info := f.s.pace.look(time.Now())
	d := wire.Parts{RawLen: uint32(size), Pace: paceOf(info, false)}
	buf.Data = buf.Data[:headRoom+size]
	if f.s.pace.zstd {
		buf, d.Enc = f.partPacker.pack(&f.stream, buf, info.Rate)
	}
	payload := len(buf.Data) - headRoom
	f.head = wire.AppendPartsFrame(f.begin(), d, f.table, payload)
	f.s.srv.count.chunks.Add(int64(len(parts)))
	return f.seal(buf, payload, size)
}

// seal makes a frame of the head and of payload bytes in buf behind the head room. It takes buf.
func (f *filler) seal(buf *sources.Buffer, payload, raw int) *frame {
	from := headRoom - len(f.head)
	copy(buf.Data[from:], f.head)
	return &frame{bytes: buf.Data[from : headRoom+payload], data: buf, raw: raw}
}

// failFrame says why chunks will not come.
func failFrame(first, n uint64, fault error) *frame {
	return &frame{bytes: wire.AppendMessage(nil, wire.TypeFail, wire.Fail{
		Ranges: []uint64{first, n}, Code: codeOf(fault), Text: clip(fault.Error()),
	})}
}

// codeOf is what a fault is on the wire.
func codeOf(fault error) wire.Code {
	switch {
	case errors.Is(fault, sources.ErrChanged):
		return wire.CodeChanged
	case errors.Is(fault, sources.ErrNotHeld):
		return wire.CodeNotHeld
	}
	return wire.CodeIO
}

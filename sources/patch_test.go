package sources

import (
	"bytes"
	"errors"
	"testing"

	"dfetch/recipe"
)

func fillNothing([]byte) error { return nil }

func TestBadPatchesAreRefused(t *testing.T) {
	many := make([]Span, MaxSpans+1)
	for i := range many {
		many[i] = Span{Off: uint32(2 * i), Len: 1}
	}
	for name, p := range map[string]Patch{
		"no spans":    {nil, fillNothing},
		"many spans":  {many, fillNothing},
		"no fill":     {[]Span{{0, 1}}, nil},
		"empty span":  {[]Span{{0, 1}, {5, 0}}, fillNothing},
		"overlap":     {[]Span{{0, 10}, {9, 1}}, fillNothing},
		"descending":  {[]Span{{50, 10}, {10, 1}}, fillNothing},
		"beyond":      {[]Span{{999, 2}}, fillNothing},
		"far beyond":  {[]Span{{^uint32(0), ^uint32(0)}}, fillNothing},
		"starts late": {[]Span{{1000, 1}}, fillNothing},
	} {
		w := Want{Ordinal: 7, Len: 1000, Patch: &p}
		l := NewLedger(LedgerConfig{Sink: newTally()})
		if _, _, err := l.Ask([]Want{{Ordinal: 6, Len: 1}, w}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if l.Stats().Outstanding != 0 {
			t.Errorf("%s: something was noted", name)
		}
	}
	for _, spans := range [][]Span{{{0, 1000}}, {{999, 1}}, {{0, 1}, {1, 1}, {500, 500}}, many[:MaxSpans]} {
		w := Want{Len: 1000, Patch: &Patch{Missing: spans, Fill: fillNothing}}
		if err := w.check(); err != nil {
			t.Errorf("%v: %v", spans, err)
		}
	}
}

func TestWantBytes(t *testing.T) {
	w := Want{Len: 1000}
	if w.Bytes() != 1000 {
		t.Errorf("a whole chunk of 1000 bytes costs %d", w.Bytes())
	}
	w.Patch = &Patch{Missing: []Span{{0, 10}, {500, 20}}}
	if w.Bytes() != 30 {
		t.Errorf("30 missing bytes cost %d", w.Bytes())
	}
}

// patched makes a want of data with these spans missing, and the parts that bring them.
func patched(ordinal uint64, data []byte, spans ...Span) (Want, Parts) {
	w := Want{Ordinal: ordinal, ID: recipe.BLAKE3.Chunk(data), Len: uint32(len(data))}
	w.Patch = &Patch{Missing: spans, Fill: func(chunk []byte) error {
		copy(chunk, data)
		for _, s := range spans {
			clear(chunk[s.Off:s.end()])
		}
		return nil
	}}
	p := Parts{Chunks: []Part{{Ordinal: ordinal, Spans: spans}}, Buf: NewBuffer(int(w.Bytes()))}
	at := p.Buf.Data
	for _, s := range spans {
		at = at[copy(at, data[s.Off:s.end()]):]
	}
	return w, p
}

func partsLedger(sink Sink) *Ledger { return NewLedger(LedgerConfig{Sink: sink, MaxParts: 1 << 20}) }

func TestPartsArePutTogether(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	w, p := patched(3, data, Span{0, 10}, Span{500, 7}, Span{999, 1})
	sink := newTally()
	l := partsLedger(sink)
	whole, parts, err := l.Ask([]Want{w, w})
	if err != nil || len(whole) > 0 || len(parts) != 1 || l.Stats().Outstanding != 18 {
		t.Fatalf("Ask: %v %v %v, %d bytes are outstanding", whole, parts, err, l.Stats().Outstanding)
	}
	l.ArriveParts(p)
	if len(sink.keep) != 1 || !bytes.Equal(sink.keep[0].Data, data) || sink.keep[0].Wants[0].Patch == nil {
		t.Fatalf("got %v, failed %v", sink.got, sink.failed)
	}
	if s := l.Stats(); s.Outstanding != 0 || s.Progress.IsZero() {
		t.Fatalf("stats are %+v", s)
	}
}

func TestPartsThatDoNotFit(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	for name, spoil := range map[string]func(w *Want, p *Parts){
		"part is wrong": func(_ *Want, p *Parts) { p.Buf.Data[3] ^= 1 },
		"fill is wrong": func(w *Want, _ *Parts) { w.Patch.Fill = fillNothing },
		"fill fails":    func(w *Want, _ *Parts) { w.Patch.Fill = func([]byte) error { return errors.New("disk") } },
	} {
		w, p := patched(3, data, Span{0, 10})
		spoil(&w, &p)
		sink := newTally()
		l := partsLedger(sink)
		if _, _, err := l.Ask([]Want{w}); err != nil {
			t.Fatal(err)
		}
		l.ArriveParts(p)
		if !errors.Is(sink.failed[3], ErrPatch) || len(sink.got) > 0 {
			t.Errorf("%s: %v, want ErrPatch", name, sink.failed[3])
		}
		if s := l.Stats(); s.Outstanding != 0 || s.Rejected != 0 {
			t.Errorf("%s: stats are %+v", name, s)
		}
	}
}

// TestPartsOfAnotherPatch: parts that are not what the want lacks fail it, and settle nothing else.
func TestPartsOfAnotherPatch(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	w, _ := patched(3, data, Span{0, 10})
	whole := w
	whole.Ordinal, whole.Patch = 4, nil
	sink := newTally()
	l := partsLedger(sink)
	if _, _, err := l.Ask([]Want{w, whole}); err != nil {
		t.Fatal(err)
	}
	for _, ordinal := range []uint64{3, 4, 5} {
		_, p := patched(ordinal, data, Span{1, 10})
		l.ArriveParts(p)
	}
	if !errors.Is(sink.failed[3], ErrPatch) || len(sink.got)+len(sink.failed) != 1 || l.Stats().Unasked != 2 || l.Strays() != 20 {
		t.Fatalf("got %v, failed %v, %+v", sink.got, sink.failed, l.Stats())
	}
	l.End(ErrClosed)
	if len(sink.failed) != 2 {
		t.Fatalf("%d wants failed at the end, want 2", len(sink.failed))
	}
}

// TestPatchIsDropped: a source that can't fetch so much of a chunk in parts fetches it whole, and says so.
func TestPatchIsDropped(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	w, _ := patched(3, data, Span{0, 10})
	if whole, parts, err := NewLedger(LedgerConfig{Sink: newTally(), MaxParts: 10}).Ask([]Want{w}); err != nil || len(whole) > 0 || len(parts) != 1 {
		t.Fatalf("just within the limit: %v %v %v", whole, parts, err)
	}
	for _, limit := range []int64{0, 9} {
		sink := newTally()
		l := NewLedger(LedgerConfig{Sink: sink, MaxParts: limit})
		whole, parts, err := l.Ask([]Want{w})
		if err != nil || len(whole) != 1 || len(parts) > 0 || l.Stats().Outstanding != 1000 {
			t.Fatalf("limit %d: %v %v %v", limit, whole, parts, err)
		}
		run := Run{First: 3, Lens: []uint32{1000}, Buf: NewBuffer(1000)}
		copy(run.Buf.Data, data)
		l.Arrive(run)
		if len(sink.keep) != 1 || sink.keep[0].Wants[0].Patch != nil {
			t.Fatalf("limit %d: got %v, failed %v", limit, sink.got, sink.failed)
		}
	}
}

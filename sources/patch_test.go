package sources

import "testing"

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
		if _, err := l.Ask([]Want{{Ordinal: 6, Len: 1}, w}); err == nil {
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

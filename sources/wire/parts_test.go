package wire

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"dfetch/recipe"
)

// someParts makes n parts.
func someParts(n, spans int) []Part {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	parts := make([]Part, n)
	for i := range parts {
		parts[i].Ordinal = rng.Uint64N(1 << 20)
		at := uint32(0)
		for range spans {
			s := Span{Off: at + rng.Uint32N(4), Len: 1 + rng.Uint32N(4)}
			parts[i].Spans = append(parts[i].Spans, s)
			at = s.Off + s.Len
		}
	}
	return parts
}

func tableOf(parts []Part) (table []byte) {
	for _, p := range parts {
		table = AppendPart(table, p)
	}
	return table
}

func TestPartsRoundTrip(t *testing.T) {
	ends := []Part{{Ordinal: math.MaxUint64 - 1, Spans: []Span{{math.MaxUint32 - 1, 1}}}, {Spans: []Span{{0, math.MaxUint32}}}}
	for _, parts := range [][]Part{ends, someParts(1, 1), someParts(MaxPartChunks, 2), someParts(50, MaxPartSpans)} {
		want := int64(0)
		for _, p := range parts {
			want += p.Bytes()
		}
		got, n, err := DecodeParts(tableOf(parts))
		if err != nil || n != want || !reflect.DeepEqual(got, parts) {
			t.Fatalf("%d parts came back as %d of %d bytes, want %d: %v", len(parts), len(got), n, want, err)
		}
	}
}

func TestBadTables(t *testing.T) {
	good := tableOf(someParts(1, 1))
	for name, table := range map[string][]byte{
		"empty":           {},
		"no spans":        {7, 0},
		"too many spans":  AppendPart(nil, someParts(1, MaxPartSpans+1)[0]),
		"too many chunks": tableOf(someParts(MaxPartChunks+1, 1)),
		"too long":        make([]byte, MaxPartsTable+1),
		"empty span":      {7, 1, 5, 0},
		"past the end":    {7, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1},
		"cut":             good[:len(good)-1],
		"no number":       bytes.Repeat([]byte{0xff}, 12),
	} {
		if _, _, err := DecodeParts(table); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

func TestPartsFrame(t *testing.T) {
	parts := []Part{{Ordinal: 3, Spans: []Span{{1, 2}}}, {Ordinal: 1, Spans: []Span{{0, 1}}}}
	head := Parts{RawLen: 3, Pace: Pace{Rate: 1 << 40, MinRTT: 2, Unsent: 3}}
	read := func(d Parts, table []byte, payload string, maxRaw int) (Parts, []Part, error) {
		r := NewReader(bytes.NewReader(append(AppendPartsFrame(nil, d, table, len(payload)), payload...)), 1<<20)
		if kind, _, err := r.Next(); kind != TypeParts || err != nil {
			t.Fatalf("frame %d: %v", kind, err)
		}
		return ReadParts(r, maxRaw)
	}
	table := tableOf(parts)
	if d, got, err := read(head, table, "abc", 3); err != nil || d != head || !reflect.DeepEqual(got, parts) {
		t.Fatalf("%+v %+v: %v", d, got, err)
	}
	for name, c := range map[string]struct {
		d       Parts
		table   []byte
		payload string
		maxRaw  int
	}{
		"over the limit": {head, table, "abc", 2},
		"wrong sum":      {Parts{RawLen: 4}, table, "abcd", 9},
		"short payload":  {head, table, "ab", 9},
		"encoding":       {Parts{RawLen: 3, Enc: 3}, table, "abc", 9},
		"no table":       {Parts{}, nil, "", 9},
	} {
		if _, _, err := read(c.d, c.table, c.payload, c.maxRaw); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

func someLists() []FineList {
	data := make([]byte, 40_000)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return []FineList{
		{Ordinal: 1 << 40, FineList: recipe.FineListOf(recipe.BLAKE3, data)},
		{Ordinal: 2, Code: CodeChanged},
		{Ordinal: 0, FineList: recipe.FineListOf(recipe.BLAKE3, data[:1])},
	}
}

func fineBody(lists []FineList) (body []byte) {
	for _, l := range lists {
		body = AppendFineList(body, l)
	}
	return body
}

func TestFineRoundTrip(t *testing.T) {
	lists := someLists()
	got, err := DecodeFine(fineBody(lists))
	if err != nil || !reflect.DeepEqual(got, lists) {
		t.Fatalf("%d lists came back as %d: %v", len(lists), len(got), err)
	}
	longest := FineList{Ordinal: math.MaxUint64 - 1, FineList: recipe.FineList{Entries: make([]recipe.FineEntry, maxEntries), Blocks: make([]uint16, maxBlocks)}}
	if n := len(AppendFineList(nil, longest)); n > MaxFineList {
		t.Fatalf("a list of %d bytes, at most %d were promised", n, MaxFineList)
	}
}

func TestBadFineLists(t *testing.T) {
	entry := func(lens ...uint16) []byte {
		l := FineList{Ordinal: 1}
		for _, n := range lens {
			l.Entries = append(l.Entries, recipe.FineEntry{Len: n})
		}
		l.Blocks = make([]uint16, recipe.FineBlocks(int(l.Bytes())))
		return AppendFineList(nil, l)
	}
	if _, err := DecodeFine(entry(512, 4096, 1)); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"empty":       {},
		"no entries":  entry(),
		"no bytes":    entry(512, 0),
		"too short":   entry(511, 512),
		"too long":    entry(4097),
		"cut":         entry(512)[:12],
		"cut blocks":  entry(512)[:20],
		"long chunk":  entry(slices.Repeat([]uint16{4096}, 257)...),
		"many":        {1, 0, 0xff, 0xff, 3},
		"large code":  {1, 0xff, 0xff, 7},
		"only a code": {1},
	} {
		if _, err := DecodeFine(body); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

// FuzzParts: what is decoded keeps the limits, and comes back from its own encoding.
func FuzzParts(f *testing.F) {
	f.Add(tableOf(someParts(3, 4)))
	f.Add([]byte{7, 1, 5, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		parts, _, err := DecodeParts(table)
		if err != nil {
			return
		}
		for _, p := range parts {
			end := uint64(0)
			for _, s := range p.Spans {
				if uint64(s.Off) < end || s.Len == 0 {
					t.Fatalf("spans %v", p.Spans)
				}
				end = uint64(s.Off) + uint64(s.Len)
			}
			if len(p.Spans) == 0 || len(p.Spans) > MaxPartSpans || end > math.MaxUint32 {
				t.Fatalf("%d spans up to %d", len(p.Spans), end)
			}
		}
		if again, _, err := DecodeParts(tableOf(parts)); err != nil || !reflect.DeepEqual(again, parts) {
			t.Fatalf("%v came back as %v: %v", parts, again, err)
		}
	})
}

// FuzzFine: what is decoded comes back from its own encoding.
func FuzzFine(f *testing.F) {
	f.Add(fineBody(someLists()))
	f.Add([]byte{1, 0, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		lists, err := DecodeFine(body)
		if err != nil {
			return
		}
		if again, err := DecodeFine(fineBody(lists)); err != nil || !reflect.DeepEqual(again, lists) {
			t.Fatalf("%v came back as %v: %v", lists, again, err)
		}
	})
}

package sources

// Range is Count consecutive ordinals from First on.
type Range struct {
	First uint64
	Count uint64
}

// End is the first ordinal after the range.
func (r Range) End() uint64 { return r.First + r.Count }

// AppendOrdinal adds one ordinal at the end of ranges, growing the last one where it fits.
func AppendOrdinal(ranges []Range, ordinal uint64) []Range {
	if n := len(ranges); n > 0 && ranges[n-1].End() == ordinal {
		ranges[n-1].Count++
		return ranges
	}
	return append(ranges, Range{First: ordinal, Count: 1})
}

// Ranges is the wants' ordinals, in their order.
func Ranges(wants []Want) []Range {
	var ranges []Range
	for i := range wants {
		ranges = AppendOrdinal(ranges, wants[i].Ordinal)
	}
	return ranges
}

// Subtract returns what is left of ranges, in their order, without those of gone.
func Subtract(ranges, gone []Range) []Range {
	for _, g := range gone {
		ranges = subtractOne(ranges, g)
	}
	return ranges
}

func subtractOne(ranges []Range, g Range) []Range {
	hit := false
	for _, r := range ranges {
		hit = hit || overlap(r, g)
	}
	if !hit {
		return ranges
	}
	left := make([]Range, 0, len(ranges)+1)
	for _, r := range ranges {
		if !overlap(r, g) {
			left = append(left, r)
			continue
		}
		if r.First < g.First {
			left = append(left, Range{First: r.First, Count: g.First - r.First})
		}
		if r.End() > g.End() {
			left = append(left, Range{First: g.End(), Count: r.End() - g.End()})
		}
	}
	return left
}

func overlap(a, b Range) bool { return a.First < b.End() && b.First < a.End() }

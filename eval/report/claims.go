package report

import (
	"slices"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// evaluate computes a claim's figure from a scenario's cells. Where a selector
// matches several cells, the median of their times counts, and of all else the one
// that is worst for the claim: the least if it wants at least so much, otherwise
// the largest. Cells that did not end well have no figure.
func evaluate(c scenarios.Claim, g *grid) (v float64, ok bool) {
	a := g.pick(c.A)
	if len(a) == 0 {
		return 0, false
	}
	worst := worstOf(c)
	switch c.Kind {
	case "seconds":
		return seconds(a), true
	case "MB/s":
		return throughput(c, a), true
	case "receiver-MiB":
		return worst(figures(a, func(s result.Summary) (float64, bool) { return s.Memory / (1 << 20), s.Memory > 0 }))
	case "sender-MiB":
		return worst(figures(a, func(s result.Summary) (float64, bool) { return s.SenderMemory / (1 << 20), s.SenderMemory > 0 }))
	case "ratio", "difference", "wire-ratio":
		return compare(c, a, g.pick(c.B))
	}
	return worst(figures(a, func(s result.Summary) (v float64, ok bool) { v, ok = s.Figures[c.Figure()]; return v, ok }))
}

// compare puts two sides of a claim beside one another.
func compare(c scenarios.Claim, a, b []result.Summary) (v float64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	switch c.Kind {
	case "ratio":
		return seconds(a) / seconds(b), true
	case "difference":
		return seconds(a) - seconds(b), true
	}
	bytes := func(s result.Summary) (float64, bool) { return s.WireDown + s.WireUp, true }
	ours, _ := worstOf(c)(figures(a, bytes))
	theirs, _ := worstOf(c)(figures(b, bytes))
	return ours / theirs, theirs > 0
}

// throughput is in MB/s, of a claim without a bound the median of the cells'.
func throughput(c scenarios.Claim, cells []result.Summary) (v float64) {
	list := figures(cells, func(s result.Summary) (float64, bool) { return float64(s.Bytes) / s.Seconds / 1e6, true })
	if _, _, err := c.Bound(); err != nil {
		return result.Median(list)
	}
	v, _ = worstOf(c)(list)
	return v
}

// worstOf returns what picks the figure that a claim is judged by; there may be none.
func worstOf(c scenarios.Claim) func([]float64) (float64, bool) {
	pick := slices.Max[[]float64]
	if _, atMost, err := c.Bound(); err == nil && !atMost {
		pick = slices.Min[[]float64]
	}
	return func(list []float64) (float64, bool) {
		if len(list) == 0 {
			return 0, false
		}
		return pick(list), true
	}
}

// figures lists one figure of the cells that have it.
func figures(cells []result.Summary, of func(result.Summary) (float64, bool)) (list []float64) {
	for _, c := range cells {
		if v, ok := of(c); ok {
			list = append(list, v)
		}
	}
	return list
}

// pick lists the cells that a selector matches and that ended well.
func (g *grid) pick(s scenarios.Selector) (found []result.Summary) {
	for _, group := range g.groups {
		cell, ok := g.at(group, s.Peer)
		if ok && cell.Outcome == result.OK && s.Matches(cell.Cell) {
			found = append(found, cell)
		}
	}
	return found
}

func seconds(cells []result.Summary) float64 {
	return result.Median(figures(cells, func(s result.Summary) (float64, bool) { return s.Seconds, true }))
}

// claims is the table of the paper's statements beside ours.
func (g *grid) claims(list []scenarios.Claim) table {
	t := table{head: []string{"what the paper says", "paper", "here"}}
	for _, c := range list {
		t.rows = append(t.rows, []string{c.Text, c.Paper, figureOf(c, g)})
	}
	return t
}

// goals is the table of what is to be reached, and whether it is.
func (g *grid) goals(list []scenarios.Claim) table {
	t := table{head: []string{"goal", "wanted", "here", ""}}
	for _, c := range list {
		t.rows = append(t.rows, []string{c.Text, c.Paper, figureOf(c, g), reached(c, g)})
	}
	return t
}

func figureOf(c scenarios.Claim, g *grid) string {
	v, ok := evaluate(c, g)
	if !ok {
		return "not measured"
	}
	return signed(v)
}

func reached(c scenarios.Claim, g *grid) string {
	v, ok := evaluate(c, g)
	limit, atMost, err := c.Bound()
	switch {
	case !ok || err != nil:
		return ""
	case atMost && v <= limit, !atMost && v >= limit:
		return "reached"
	}
	return "missed"
}

// signed is number for what may be below zero.
func signed(v float64) string {
	if v < 0 {
		return "−" + number(-v)
	}
	return number(v)
}

package report

import (
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// evaluate computes a claim's figure from a scenario's cells. Where a selector
// matches several cells, the median of their times counts, and of all else the
// largest. Cells that did not end well have no figure.
func evaluate(c scenarios.Claim, g *grid) (v float64, ok bool) {
	a := g.pick(c.A)
	if len(a) == 0 {
		return 0, false
	}
	switch c.Kind {
	case "seconds":
		return seconds(a), true
	case "MB/s":
		return float64(a[0].Bytes) / seconds(a) / 1e6, true
	case "receiver-MiB":
		return largest(a, func(s result.Summary) float64 { return s.Memory / (1 << 20) }), true
	case "sender-MiB":
		return largest(a, func(s result.Summary) float64 { return s.SenderMemory / (1 << 20) }), true
	case "ratio", "difference", "wire-ratio":
		return compare(c.Kind, a, g.pick(c.B))
	}
	_, ok = a[0].Figures[c.Figure()]
	return largest(a, func(s result.Summary) float64 { return s.Figures[c.Figure()] }), ok
}

// compare puts two sides of a claim beside one another.
func compare(kind string, a, b []result.Summary) (v float64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	switch kind {
	case "ratio":
		return seconds(a) / seconds(b), true
	case "difference":
		return seconds(a) - seconds(b), true
	}
	bytes := func(s result.Summary) float64 { return s.WireDown + s.WireUp }
	return largest(a, bytes) / largest(b, bytes), largest(b, bytes) > 0
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
	var list []float64
	for _, c := range cells {
		list = append(list, c.Seconds)
	}
	return result.Median(list)
}

func largest(cells []result.Summary, of func(result.Summary) float64) (v float64) {
	for _, c := range cells {
		v = max(v, of(c))
	}
	return v
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

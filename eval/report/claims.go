package report

import (
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// evaluate computes a claim's figure from a scenario's cells. Where a selector
// matches several cells, the median of their medians counts. Cells that did not
// end well have no figure.
func evaluate(c scenarios.Claim, g *grid) (v float64, ok bool) {
	a, ok := g.pick(c.A)
	if !ok {
		return 0, false
	}
	switch c.Kind {
	case "seconds":
		return a.Seconds, true
	case "MB/s":
		return float64(a.Bytes) / a.Seconds / 1e6, true
	case "receiver-MiB":
		return a.Memory / (1 << 20), true
	case "sender-MiB":
		return a.SenderMemory / (1 << 20), true
	}
	b, ok := g.pick(c.B)
	if c.Kind == "difference" {
		return a.Seconds - b.Seconds, ok
	}
	return a.Seconds / b.Seconds, ok
}

// pick is the median of the cells that a selector matches and that ended well.
func (g *grid) pick(s scenarios.Selector) (result.Summary, bool) {
	var seconds []float64
	var found result.Summary
	for _, group := range g.groups {
		cell, ok := g.at(group, s.Peer)
		if ok && cell.Outcome == result.OK && s.Matches(cell.Cell) {
			if found.Cell == "" || cell.Memory > found.Memory {
				found = cell
			}
			seconds = append(seconds, cell.Seconds)
		}
	}
	found.Seconds = result.Median(seconds)
	return found, len(seconds) > 0
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

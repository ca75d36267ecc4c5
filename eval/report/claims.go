package report

import (
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// evaluate computes a claim's figure from a scenario's cells. Where a selector
// matches several cells, the median of their medians counts. Cells that did not
// end well have no figure.
func evaluate(c scenarios.Claim, g *grid) string {
	a, okA := g.pick(c.A)
	if !okA {
		return "not measured"
	}
	switch c.Kind {
	case "seconds":
		return number(a.Seconds)
	case "MB/s":
		return number(float64(a.Bytes) / a.Seconds / 1e6)
	}
	b, okB := g.pick(c.B)
	switch {
	case !okB:
		return "not measured"
	case c.Kind == "difference":
		return signed(a.Seconds - b.Seconds)
	}
	return number(a.Seconds / b.Seconds)
}

// pick is the median of the cells that a selector matches and that ended well.
func (g *grid) pick(s scenarios.Selector) (result.Summary, bool) {
	var seconds []float64
	var found result.Summary
	for _, group := range g.groups {
		cell, ok := g.at(group, s.Peer)
		if ok && cell.Outcome == result.OK && s.Matches(cell.Cell) {
			found = cell
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
		t.rows = append(t.rows, []string{c.Text, c.Paper, evaluate(c, g)})
	}
	return t
}

// signed is number for what may be below zero.
func signed(v float64) string {
	if v < 0 {
		return "−" + number(-v)
	}
	return number(v)
}

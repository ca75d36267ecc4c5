package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dfetch/eval/result"
)

// table is rows of text with a header.
type table struct {
	head []string
	rows [][]string
}

// grid is a scenario's summaries by group and peer.
type grid struct {
	name   string
	groups []string
	peers  []string
	cells  map[string]result.Summary // by cell name
}

// grids splits summaries into scenarios, each in the order in which its groups
// are to be shown.
func grids(summaries []result.Summary) (out []*grid) {
	byName := map[string]*grid{}
	for _, s := range summaries {
		name, _, _ := strings.Cut(s.Cell, "/")
		g := byName[name]
		if g == nil {
			g = &grid{name: name, cells: map[string]result.Summary{}}
			byName[name] = g
			out = append(out, g)
		}
		g.cells[s.Cell] = s
		if !slices.Contains(g.groups, s.Group) {
			g.groups = append(g.groups, s.Group)
		}
	}
	slices.SortFunc(out, func(a, b *grid) int { return strings.Compare(a.name, b.name) })
	for _, g := range out {
		g.finish(summaries)
	}
	return out
}

func (g *grid) finish(summaries []result.Summary) {
	slices.SortFunc(g.groups, compareGroups)
	var own []result.Summary
	for _, s := range summaries {
		if _, ok := g.cells[s.Cell]; ok {
			own = append(own, s)
		}
	}
	g.peers = result.Peers(own)
}

// at returns the summary of a group and peer.
func (g *grid) at(group, peer string) (result.Summary, bool) {
	s, ok := g.cells[group+"/peer="+peer]
	return s, ok
}

// label is a group's name without the scenario and without the parts that all
// groups of the grid share, a dash if nothing is left.
func (g *grid) label(group string) string {
	var kept []string
	for _, p := range strings.Split(group, "/")[1:] {
		if len(g.groups) == 1 || !g.shared(p) {
			_, value, _ := strings.Cut(p, "=")
			kept = append(kept, value)
		}
	}
	if len(kept) == 0 {
		return "–"
	}
	return strings.Join(kept, ", ")
}

func (g *grid) shared(part string) bool {
	for _, group := range g.groups {
		if !strings.Contains(group+"/", "/"+part+"/") {
			return false
		}
	}
	return true
}

// common are the parts that all groups share.
func (g *grid) common() (parts []string) {
	for _, p := range strings.Split(g.groups[0], "/")[1:] {
		if g.shared(p) {
			parts = append(parts, strings.Replace(p, "=", " ", 1))
		}
	}
	return parts
}

// times is the table of seconds.
func (g *grid) times() table {
	return g.table("seconds", func(s result.Summary) string {
		text := number(s.Seconds)
		if s.N > 1 {
			text += fmt.Sprintf(" [%s–%s]", number(s.Least), number(s.Most))
		}
		if s.Middle.First > 0 {
			text += fmt.Sprintf(" (first %s, mean %s)", number(s.Middle.First), number(s.Middle.Mean))
		}
		return text
	})
}

// costs is the table of what a run takes besides time.
func (g *grid) costs() table {
	return g.table("MB down + up; CPU s of receiver + sender; peak MB of both; MB read from disk", func(s result.Summary) string {
		return fmt.Sprintf("%s + %s; %s + %s; %s + %s; %s", wire(s.WireDown), wire(s.WireUp),
			number(s.CPU), number(s.SenderCPU), memory(s.Memory), memory(s.SenderMemory), megabytes(s.DiskRead))
	})
}

// table shows one figure of every cell.
func (g *grid) table(what string, show func(result.Summary) string) table {
	t := table{head: append([]string{what}, g.peers...)}
	for _, group := range g.groups {
		row := []string{g.label(group)}
		for _, peer := range g.peers {
			s, ok := g.at(group, peer)
			switch {
			case !ok:
				row = append(row, "")
			case s.Outcome == result.OK:
				row = append(row, show(s)+lateMark(s))
			case s.Outcome == result.TimeBox:
				row = append(row, "> "+number(s.Seconds)+lateMark(s))
			default:
				row = append(row, string(s.Outcome))
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// figuresTable is the table of what else was measured: a row a cell, a column a figure. It is empty if there is nothing.
func (g *grid) figuresTable() table {
	names := map[string]bool{}
	g.each(func(_, _ int, s result.Summary) {
		for name := range s.Figures {
			names[name] = true
		}
	})
	if len(names) == 0 {
		return table{}
	}
	columns := slices.Sorted(maps.Keys(names))
	t := table{head: append([]string{"cell", "peer"}, columns...)}
	g.each(func(i, _ int, s result.Summary) {
		row := []string{g.label(g.groups[i]), s.Peer}
		for _, name := range columns {
			text := ""
			if v, ok := s.Figures[name]; ok {
				text = number(v)
			}
			row = append(row, text)
		}
		t.rows = append(t.rows, row)
	})
	return t
}

// lateMark marks a cell all of whose runs met a late emulator.
func lateMark(s result.Summary) string {
	if s.Late {
		return " (late)"
	}
	return ""
}

// gaps lists why cells have no figure, each reason once.
func (g *grid) gaps() (lines []string) {
	cells := map[string]int{}
	var order []string
	for _, group := range g.groups {
		for _, peer := range g.peers {
			s, ok := g.at(group, peer)
			if !ok || s.Outcome == result.OK || s.Outcome == result.TimeBox {
				continue
			}
			line := fmt.Sprintf("%s: %s: %s", peer, s.Outcome, s.Reason)
			if s.Outcome != result.Gap {
				line = fmt.Sprintf("%s, %s: %s: %s", peer, g.label(group), s.Outcome, s.Reason)
			}
			if cells[line]++; cells[line] == 1 {
				order = append(order, line)
			}
		}
	}
	for _, line := range order {
		if cells[line] > 1 {
			line += fmt.Sprintf(" (%d cells)", cells[line])
		}
		lines = append(lines, line)
	}
	return lines
}

// notRun lists the peers of a scenario that were not tried in some of its cells that others were.
func (g *grid) notRun(peers []string) (lines []string) {
	for _, peer := range peers {
		n := 0
		for _, group := range g.groups {
			if _, ok := g.at(group, peer); !ok {
				n++
			}
		}
		if n > 0 {
			lines = append(lines, fmt.Sprintf("%s: not run (%d of %d cells)", peer, n, len(g.groups)))
		}
	}
	return lines
}

// number shows three significant digits or so.
func number(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case v > 0 && v < 0.095:
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func megabytes(v float64) string { return number(v / 1e6) }

// memory shows a peak; what ran in no process of its own, or ended before anyone looked, has none.
func memory(v float64) string {
	if v == 0 {
		return "–"
	}
	return megabytes(v)
}

// wire shows link bytes, where a link was measured.
func wire(v float64) string {
	if v < 0 {
		return "–"
	}
	return megabytes(v)
}

package report

import (
	"fmt"
	"slices"

	"dfetch/eval/result"
)

// Figure is a drawing with the name of its file, without the ending.
type Figure struct{ Name, Title, SVG string }

// plot is the frame of a figure: where the data goes, and the axes around it.
const (
	plotLeft, plotTop = 60.0, 34.0
	plotHeight        = 220.0
)

// axisY draws the frame's left side and its grid.
func (s *svg) axisY(c scale, width float64, label string) {
	s.text(8, plotTop-14, "start", label)
	for _, v := range c.ticks() {
		y := plotTop + plotHeight - c.at(v)
		s.line(plotLeft, y, plotLeft+width, y, "#dddddd")
		s.text(plotLeft-6, y+4, "end", short(v))
	}
	s.line(plotLeft, plotTop, plotLeft, plotTop+plotHeight, "#333333")
	s.line(plotLeft, plotTop+plotHeight, plotLeft+width, plotTop+plotHeight, "#333333")
}

// bars shows the time of every cell of the grid, by group.
func bars(g *grid) Figure {
	groupWidth := max(46, 11*float64(len(g.peers))+16)
	width := groupWidth * float64(len(g.groups))
	var values []float64
	g.each(func(_ int, _ int, s result.Summary) { values = append(values, s.Seconds) })
	y := fit(values, plotHeight)
	low := plotTop + plotHeight
	total := plotLeft + max(width, 360) + 20
	s := newSVG(total, low+110+legendHeight(total-70, g.peers))
	s.axisY(y, width, "seconds")
	barWidth := (groupWidth - 12) / float64(len(g.peers))
	g.each(func(i, j int, cell result.Summary) {
		x := plotLeft + groupWidth*float64(i) + 6 + barWidth*float64(j)
		h := y.at(cell.Seconds)
		title := fmt.Sprintf("%s: %s s", cell.Peer, number(cell.Seconds))
		s.rect(x, low-h, barWidth-1, h, colour(j), title)
		if cell.Outcome == result.TimeBox {
			s.text(x+barWidth/2, low-h-3, "middle", "↑")
		} else if cell.N > 1 {
			s.line(x+barWidth/2, low-y.at(cell.Least), x+barWidth/2, low-y.at(cell.Most), "#000000")
		}
	})
	for i, group := range g.groups {
		s.slanted(plotLeft+groupWidth*(float64(i)+0.6), low+14, g.label(group))
	}
	s.legend(plotLeft, low+108, total-70, g.peers)
	return Figure{Name: g.name, SVG: s.end()}
}

// each calls f for the cells that have a time, with the group's and the peer's
// position.
func (g *grid) each(f func(group, peer int, s result.Summary)) {
	for i, group := range g.groups {
		for j, peer := range g.peers {
			if s, ok := g.at(group, peer); ok && s.N > 0 {
				f(i, j, s)
			}
		}
	}
}

// series is one line of a line figure.
type series struct {
	name   string
	points [][2]float64 // value of the axis, MB/s
}

// lines shows throughput over an axis whose values are numbers, such as size.
func lines(g *grid, axis string) Figure {
	list := g.series(axis)
	var xs, ys []float64
	var names []string
	for _, l := range list {
		names = append(names, l.name)
		for _, p := range l.points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	const width = 560.0
	x, y := fit(xs, width-20), fit(ys, plotHeight)
	low := plotTop + plotHeight
	s := newSVG(plotLeft+width+20, low+50+legendHeight(width, names))
	s.axisY(y, width, "MB/s")
	for _, v := range slices.Compact(slices.Sorted(slices.Values(xs))) {
		s.text(plotLeft+10+x.at(v), low+16, "middle", short(v))
	}
	s.text(plotLeft+width/2, low+32, "middle", axis)
	for i, l := range list {
		var points [][2]float64
		for _, p := range l.points {
			at := [2]float64{plotLeft + 10 + x.at(p[0]), low - y.at(p[1])}
			points = append(points, at)
			s.rect(at[0]-3, at[1]-3, 6, 6, colour(i), fmt.Sprintf("%s: %s MB/s", l.name, number(p[1])))
		}
		s.path(points, colour(i), "none")
	}
	s.legend(plotLeft, low+52, width, names)
	return Figure{Name: g.name, SVG: s.end()}
}

// series are the grid's cells by what they share besides the axis.
func (g *grid) series(axis string) (list []series) {
	at := map[string]int{}
	for _, peer := range g.peers {
		for _, group := range g.groups {
			cell, ok := g.at(group, peer)
			if !ok || cell.Outcome != result.OK {
				continue
			}
			rest, text := without(group, axis)
			v, _ := value(text)
			if axis == "size" {
				v /= 1e6
			}
			name := peer
			if label := g.restLabel(rest, axis); label != "" {
				name += ", " + label
			}
			if _, ok := at[name]; !ok {
				at[name] = len(list)
				list = append(list, series{name: name})
			}
			l := &list[at[name]]
			l.points = append(l.points, [2]float64{v, float64(cell.Bytes) / cell.Seconds / 1e6})
		}
	}
	return list
}

// restLabel is a label of what differs between groups besides the axis.
func (g *grid) restLabel(rest, axis string) string {
	other := &grid{}
	for _, group := range g.groups {
		r, _ := without(group, axis)
		if !slices.Contains(other.groups, r) {
			other.groups = append(other.groups, r)
		}
	}
	if len(other.groups) == 1 {
		return ""
	}
	return other.label(rest)
}

// axis is the number that most groups differ in: a size or a disk load of which
// there are three values or more.
func (g *grid) axis() string {
	for _, key := range []string{"size", "disk-load"} {
		values := map[string]bool{}
		for _, group := range g.groups {
			if _, v := without(group, key); v != "" {
				values[v] = true
			}
		}
		if len(values) >= 3 {
			return key
		}
	}
	return ""
}

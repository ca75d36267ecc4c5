package report

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// svg is a drawing under way, with the origin at the top left.
type svg struct{ strings.Builder }

// svgStyle ends the first line of every figure.
const svgStyle = `font-family="sans-serif" font-size="11">`

// IsFigure tells whether a file looks like a figure of a report.
func IsFigure(text []byte) bool {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.HasPrefix(first, []byte("<svg ")) && bytes.HasSuffix(first, []byte(svgStyle))
}

func newSVG(width, height float64) *svg {
	s := &svg{}
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" `+svgStyle+"\n", width, height, width, height)
	s.rect(0, 0, width, height, "#ffffff", "")
	return s
}

func (s *svg) end() string {
	s.WriteString("</svg>\n")
	return s.String()
}

// rect draws a box; a title shows when the pointer rests on it.
func (s *svg) rect(x, y, w, h float64, fill, title string) {
	fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"`, x, y, w, h, fill)
	if title == "" {
		s.WriteString("/>\n")
		return
	}
	fmt.Fprintf(s, "><title>%s</title></rect>\n", html.EscapeString(title))
}

func (s *svg) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, stroke)
}

// text draws text; anchor is start, middle or end.
func (s *svg) text(x, y float64, anchor, text string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}

// slanted draws text that ends at a point, turned by 35 degrees.
func (s *svg) slanted(x, y float64, text string) {
	fmt.Fprintf(s, `<text transform="translate(%.1f %.1f) rotate(-35)" text-anchor="end">%s</text>`+"\n", x, y, html.EscapeString(text))
}

// path draws a line through points, or fills what it encloses.
func (s *svg) path(points [][2]float64, stroke, fill string) {
	s.WriteString(`<path d="`)
	for i, p := range points {
		fmt.Fprintf(s, "%c%.1f %.1f", "ML"[min(i, 1)], p[0], p[1])
	}
	fmt.Fprintf(s, `" stroke="%s" fill="%s" stroke-width="2"/>`+"\n", stroke, fill)
}

// palette gives peers, or sources, their colours by position: dfetch's first.
var palette = []string{
	"#0b5fa5", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1", "#9c755f", "#edc948", "#bab0ac", "#ff9da7", "#4e79a7", "#333333",
}

func colour(i int) string { return palette[i%len(palette)] }

// legend draws names with their colours in a row that wraps, and returns its
// height.
func (s *svg) legend(x, y, width float64, names []string) float64 {
	cx, cy := x, y
	for i, name := range names {
		w := 24 + 6.4*float64(len(name))
		if cx > x && cx+w > x+width {
			cx, cy = x, cy+16
		}
		s.rect(cx, cy-9, 10, 10, colour(i), "")
		s.text(cx+14, cy, "start", name)
		cx += w
	}
	return cy - y + 16
}

// legendHeight is what legend returns.
func legendHeight(width float64, names []string) float64 {
	return (&svg{}).legend(0, 0, width, names)
}

// scale maps values to a length in drawing units, linearly or by logarithm.
type scale struct {
	from, to float64
	log      bool
	length   float64
}

func (c scale) at(v float64) float64 {
	if c.log {
		v = max(v, c.from)
		return c.length * math.Log(v/c.from) / math.Log(c.to/c.from)
	}
	return c.length * (v - c.from) / (c.to - c.from)
}

// ticks are round values within the scale.
func (c scale) ticks() (out []float64) {
	if c.log {
		for v := math.Pow(10, math.Ceil(math.Log10(c.from)-1e-9)); v <= c.to*1.0001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10((c.to-c.from)/2)))
	for (c.to-c.from)/step > 8 {
		step *= 2
	}
	for v := math.Ceil(c.from/step) * step; v <= c.to+step/1e6; v += step {
		out = append(out, v)
	}
	return out
}

// fit returns a scale for these values: from zero, or by logarithm if they span
// more than a factor of fifty.
func fit(values []float64, length float64) scale {
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			least = min(least, v)
		}
		most = max(most, v)
	}
	if most == 0 {
		return scale{0, 1, false, length}
	}
	if most/least > 50 {
		return scale{math.Pow(10, math.Floor(math.Log10(least))), most * 1.2, true, length}
	}
	return scale{0, most * 1.05, false, length}
}

// short writes a tick's value.
func short(v float64) string { return fmt.Sprintf("%.6g", v) }

package report

import (
	"fmt"
	"math"
	"strings"

	"dfetch/eval/result"
)

// heat is the map of dfetch's time ÷ that of each peer, a row a group; the first
// column is the regret.
func heat(summaries []result.Summary) (Figure, bool) {
	regrets := Regrets(summaries)
	if len(regrets) == 0 {
		return Figure{}, false
	}
	bySummary := map[string]result.Summary{}
	for _, s := range summaries {
		bySummary[s.Cell] = s
	}
	var peers []string
	for _, p := range result.Peers(summaries) {
		if p != adaptive {
			peers = append(peers, p)
		}
	}
	const left, top, w, h = 360.0, 96.0, 58.0, 17.0
	s := newSVG(left+w*float64(len(peers)+1)+40, top+h*float64(len(regrets))+16)
	for j, name := range append([]string{"best way"}, peers...) {
		fmt.Fprintf(s, `<text transform="translate(%.1f %.1f) rotate(-40)">%s</text>`+"\n", left+w*float64(j)+20, top-6, name)
	}
	for i, r := range regrets {
		y := top + h*float64(i)
		s.text(left-6, y+12, "end", groupLabel(r.Group))
		s.heatCell(left, y, w, h, r.Ratio, r.Bound)
		for j, peer := range peers {
			cell, ok := bySummary[r.Group+"/peer="+peer]
			if ok && cell.Outcome == result.OK && cell.Seconds > 0 {
				s.heatCell(left+w*float64(j+1), y, w, h, r.Ours/cell.Seconds, r.Bound)
			}
		}
	}
	return Figure{Name: "regret", Title: "dfetch's time ÷ the time of each other way", SVG: s.end()}, true
}

// groupLabel is a group's values in short.
func groupLabel(group string) string {
	parts := strings.Split(group, "/")
	for i, p := range parts {
		_, v, ok := strings.Cut(p, "=")
		if ok {
			parts[i] = v
		}
	}
	return strings.Join(parts, " ")
}

func (s *svg) heatCell(x, y, w, h, ratio float64, bound bool) {
	s.rect(x+1, y+1, w-2, h-2, heatColour(ratio), "")
	text := number(ratio)
	if bound {
		text = "> " + text
	}
	s.text(x+w/2, y+12, "middle", text)
}

// heatColour is green below 1, white up to the goal, and red above, the more the
// farther; a factor of four is as far as it goes.
func heatColour(ratio float64) string {
	const far = 1.386 // ln 4
	switch {
	case ratio < 1:
		return mix(min(1, -math.Log(ratio)/far), 0x7f, 0xc9, 0x7f)
	case ratio <= goal:
		return "#f4f4ec"
	}
	return mix(min(1, 0.15+math.Log(ratio/goal)/far), 0xf0, 0x6a, 0x5a)
}

// mix is a colour between white (0) and the one given (1).
func mix(share float64, r, g, b float64) string {
	at := func(c float64) int { return int(math.Round(255 + (c-255)*share)) }
	return fmt.Sprintf("#%02x%02x%02x", at(r), at(g), at(b))
}

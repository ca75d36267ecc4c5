package report

import (
	"maps"
	"slices"

	"dfetch/eval/result"
)

// timelineSteps is how many moments a timeline shows.
const timelineSteps = 60

// timeline shows at what rate content came from each source, one over the other.
func timeline(name string, cell result.Summary) (Figure, bool) {
	points := cell.Middle.Timeline
	if len(points) < 3 || points[len(points)-1].T <= 0 {
		return Figure{}, false
	}
	sources := sourcesOf(points)
	end := points[len(points)-1].T
	step := end / timelineSteps
	rates := make([][]float64, len(sources))
	var sums []float64
	for k := range timelineSteps {
		sum := 0.0
		for i, source := range sources {
			from, to := bytesAt(points, source, step*float64(k)), bytesAt(points, source, step*float64(k+1))
			rate := max(0, to-from) / step / 1e6
			rates[i] = append(rates[i], rate)
			sum += rate
		}
		sums = append(sums, sum)
	}
	return Figure{Name: name, SVG: drawTimeline(sources, rates, sums, end)}, true
}

func drawTimeline(sources []string, rates [][]float64, sums []float64, end float64) string {
	const width = 600.0
	y := scale{0, max(slices.Max(sums)*1.05, 0.001), false, plotHeight}
	x := scale{0, end, false, width}
	low := plotTop + plotHeight
	s := newSVG(plotLeft+width+20, low+70)
	s.axisY(y, width, "MB/s of content")
	for k := range sums {
		base := low
		for i := range sources {
			h := y.at(rates[i][k])
			if h > 0 {
				s.rect(plotLeft+width*float64(k)/timelineSteps, base-h, width/timelineSteps, h, colour(i), "")
			}
			base -= h
		}
	}
	for _, v := range x.ticks() {
		s.text(plotLeft+x.at(v), low+16, "middle", short(v))
	}
	s.text(plotLeft+width/2, low+32, "middle", "seconds")
	s.legend(plotLeft, low+54, width, sources)
	return s.end()
}

func sourcesOf(points []result.Point) []string {
	names := map[string]bool{}
	for _, p := range points {
		for name := range p.Sources {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// bytesAt is a source's bytes at a moment, between two points linearly.
func bytesAt(points []result.Point, source string, t float64) float64 {
	before := result.Point{}
	for _, p := range points {
		if p.T >= t {
			a, b := float64(before.Sources[source]), float64(p.Sources[source])
			if p.T == before.T {
				return b
			}
			return a + (b-a)*(t-before.T)/(p.T-before.T)
		}
		before = p
	}
	return float64(before.Sources[source])
}

package report

import (
	"slices"
	"strings"

	"dfetch/eval/result"
)

// adaptive is the peer whose regret is told: dfetch as people run it.
const adaptive = "dfetch"

// Regret is how one cell of dfetch stands against the best single way.
type Regret struct {
	Group string
	// Best is the peer with the least time among the others that ended well.
	Best string
	// Ours and BestSeconds are medians. Ratio is Ours ÷ BestSeconds; where dfetch
	// was stopped it is a lower bound, and Bound is set.
	Ours, BestSeconds, Ratio float64
	Bound                    bool
	// Runs and BestRuns are how many runs the medians are of.
	Runs, BestRuns int
	// Late says that the emulator was late in all runs of one side.
	Late bool
}

// Regrets returns the regret of every group in which dfetch ran and another way
// ended well, in the order of the tables. What has no network is no transfer.
func Regrets(summaries []result.Summary) (out []Regret) {
	for _, g := range grids(summaries) {
		for _, group := range g.groups {
			if !strings.Contains(group, "/net=") {
				continue
			}
			if r, ok := g.regret(group); ok {
				out = append(out, r)
			}
		}
	}
	return out
}

func (g *grid) regret(group string) (r Regret, ok bool) {
	ours, ok := g.at(group, adaptive)
	if !ok || ours.N == 0 {
		return r, false
	}
	var bestLate bool
	r = Regret{Group: group, Ours: ours.Seconds, Runs: ours.N, Bound: ours.Outcome != result.OK, Late: ours.Late}
	for _, peer := range g.peers {
		s, ok := g.at(group, peer)
		if peer == adaptive || !ok || s.Outcome != result.OK {
			continue
		}
		if r.Best == "" || s.Seconds < r.BestSeconds {
			r.Best, r.BestSeconds, r.BestRuns, bestLate = peer, s.Seconds, s.N, s.Late
		}
	}
	if r.Best == "" || r.BestSeconds <= 0 {
		return r, false
	}
	r.Ratio = r.Ours / r.BestSeconds
	r.Late = r.Late || bestLate
	return r, true
}

// broken counts the cells of transfers in which dfetch failed or gave a wrong tree. They have no regret.
func broken(summaries []result.Summary) (n int) {
	for _, s := range summaries {
		bad := s.Outcome == result.Wrong || s.Outcome == result.Failed
		if s.Peer == adaptive && bad && strings.Contains(s.Group, "/net=") {
			n++
		}
	}
	return n
}

// single counts the regrets that rest on a single run on one side at least.
func single(list []Regret) (n int) {
	for _, r := range list {
		if min(r.Runs, r.BestRuns) == 1 {
			n++
		}
	}
	return n
}

// late counts the regrets that rest on late runs.
func late(list []Regret) (n int) {
	for _, r := range list {
		if r.Late {
			n++
		}
	}
	return n
}

// goal is the regret that no cell should exceed.
const goal = 1.10

// verdict sums up a list of regrets.
func verdict(list []Regret) (within, total int, median, worst float64) {
	var ratios []float64
	for _, r := range list {
		ratios = append(ratios, r.Ratio)
		if r.Ratio <= goal && !r.Bound {
			within++
		}
	}
	if len(ratios) == 0 {
		return 0, 0, 0, 0
	}
	return within, len(ratios), result.Median(ratios), slices.Max(ratios)
}

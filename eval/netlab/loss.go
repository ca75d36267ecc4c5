package netlab

import "math/rand/v2"

// gilbert is a Gilbert–Elliott loss process: a good and a bad state, each with
// its own loss probability, and a chance to change state before each packet.
type gilbert struct {
	goodLoss, badLoss float64
	toBad, toGood     float64
	bad               bool
}

// newGilbert finds the transition probabilities that give s.Loss in the long run
// and a mean stay of s.Burst packets in the bad state.
func newGilbert(s Shape) gilbert {
	if s.Burst <= 1 || s.Loss == 0 {
		return gilbert{goodLoss: s.Loss}
	}
	g := gilbert{goodLoss: s.GoodLoss, badLoss: s.BadLoss, toGood: 1 / s.Burst}
	if g.badLoss == 0 {
		g.badLoss = 1
	}
	inBad := (s.Loss - g.goodLoss) / (g.badLoss - g.goodLoss)
	g.toBad = g.toGood * inBad / (1 - inBad)
	return g
}

// lose decides the fate of the next packet.
func (g *gilbert) lose(r *rand.Rand) bool {
	if g.toBad > 0 {
		flip := g.toBad
		if g.bad {
			flip = g.toGood
		}
		if r.Float64() < flip {
			g.bad = !g.bad
		}
	}
	p := g.goodLoss
	if g.bad {
		p = g.badLoss
	}
	return p > 0 && r.Float64() < p
}

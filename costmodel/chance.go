package costmodel

// Chance is how likely the operations under way and those that were planned will bring the chunks of a
// group, and the mean time in seconds until those that bring them are through, as of the last Plan.
func (p *Planner) Chance(id GroupID) (prob, seconds float64) {
	g := p.groups.list.at(uint32(id))
	if p.plan.number == 0 || g.plan != p.plan.number || g.left >= 1 {
		return 0, 0
	}
	prob = 1 - float64(g.left)
	return prob, float64(g.eta) / prob
}

// Later is what the likeliest file promises of a group of which the last Plan knows nothing, while it waits or is
// being hashed: the probability, and the seconds that hashing takes.
func (p *Planner) Later(id GroupID) (prob, seconds float64) {
	g := p.groups.list.at(uint32(id))
	if g.home == 0 {
		return 0, 0
	}
	f := p.files.at(g.home - 1)
	if f.state != queued && f.state != running || p.quiet(p.dirs.at(f.dir).dev) {
		return 0, 0
	}
	return min(1, f.posterior(p.learned.correct(float64(g.prob)))*f.unseen()), p.hashCost(f)
}

// Namesake says whether the likeliest file for a group has the very name of the wanted one.
func (p *Planner) Namesake(id GroupID) bool {
	g := p.groups.list.at(uint32(id))
	return g.home != 0 && p.namesakes(p.files.at(g.home-1), uint32(id))
}

// Waits says whether the likeliest file for a group has not been looked at.
func (p *Planner) Waits(id GroupID) bool {
	g := p.groups.list.at(uint32(id))
	if g.home == 0 {
		return false
	}
	f := p.files.at(g.home - 1)
	return f.state == queued && f.hashed == 0
}

// Placed says whether a file that may hold chunks of a group has been seen.
func (p *Planner) Placed(id GroupID) bool { return p.groups.list.at(uint32(id)).home != 0 }

// PlacedGroups is how many groups have been placed so far.
func (p *Planner) PlacedGroups() int { return p.placed }

// Planned is how many seconds the planned operations take, those under way included.
func (p *Planner) Planned() float64 { return p.plan.finish }

// Reconsider compares a file that is being read, or was, with what is wanted by now: it may be the likeliest for what
// was not wanted when it was seen. It gives the groups of wanted files with the file's very name whose chunks it would
// be thought to hold with at least the given probability, had nothing of it been read; few at most.
func (p *Planner) Reconsider(id FileID, atLeast float64) []GroupID {
	f := p.files.at(uint32(id))
	pairs := p.pairsNow(f)
	p.settleHomes(uint32(id), &pairs, true)
	var out []GroupID
	for i := range int(pairs.n) {
		if float64(pairs.p[i]) >= atLeast && p.namesakes(f, pairs.group[i]) {
			out = append(out, GroupID(pairs.group[i]))
		}
	}
	return out
}

// PerByte is what a byte of reading and hashing costs on a device, in seconds.
func (p *Planner) PerByte(dev Device) float64 { return p.costs.Read(dev).PerUnit }

// namesakes says whether a file has the name of a group's source file.
func (p *Planner) namesakes(f *file, group uint32) bool {
	src := p.groups.sources.at(p.groups.list.at(group).first)
	return p.names.get(f.name) == p.groups.names.get(src.name)
}

package costmodel

import "slices"

// maxPairs bounds the groups for which a file has a probability of its own.
const maxPairs = 4

// exactSources is up to how many source files each is compared with a file; beyond, those that a key
// brings up.
const exactSources = 64

// maxFound bounds the source files that are compared with a file.
const maxFound = 64

// maxLinks bounds the groups of a source file that are looked at.
const maxLinks = 16

// baseProbability is that of a file with no likeness but its place: pfs·pss·ptm.
const baseProbability = otherName * otherSize * otherTime

// pairs are the groups a file is most likely to bring chunks of.
type pairs struct {
	group [maxPairs]uint32
	p     [maxPairs]float32
	n     uint8
}

// otherPairs are a file's pairs but the first.
type otherPairs struct {
	group [maxPairs - 1]uint32
	p     [maxPairs - 1]float32
}

// keepPairs makes the pairs that were matched last those of a file.
func (p *Planner) keepPairs(f *file) {
	m := &p.matched
	f.pairs, f.group, f.prob = m.n, m.group[0], m.p[0]
	if m.n < 2 {
		return
	}
	if f.more == 0 {
		f.more = p.more.add(otherPairs{}) + 1
	}
	*p.more.at(f.more - 1) = otherPairs{[maxPairs - 1]uint32(m.group[1:]), [maxPairs - 1]float32(m.p[1:])}
}

// pair is one of a file's pairs, from 0 on.
func (p *Planner) pair(f *file, i int) (group uint32, prob float32) {
	if i == 0 {
		return f.group, f.prob
	}
	o := p.more.at(f.more - 1)
	return o.group[i-1], o.p[i-1]
}

// of is the probability of a group; 0 if it is none of the likeliest.
func (ps *pairs) of(g uint32) float32 {
	for i := range int(ps.n) {
		if ps.group[i] == g {
			return ps.p[i]
		}
	}
	return 0
}

// place is a directory of the disk, with what its files have in common but their names.
type place struct {
	dir    uint32 // directory + 1; 0 is none
	dirs   []uint64
	buf    [maxDepth]uint64
	nodes  [placeNodes]uint32 // directories of wanted files that it was compared with: node + 1
	common [placeNodes]float64
}

// placeNodes bounds the directories of wanted files for which a place remembers what it has in common with them.
const placeNodes = 64

// at makes a directory the place. Files come directory by directory, so it mostly is already.
func (pl *place) at(p *Planner, dir uint32) {
	if pl.dir != dir+1 {
		pl.dir, pl.dirs = dir+1, p.comps(&pl.buf, dir)
		clear(pl.nodes[:])
	}
}

// commonality is that of the place and a directory of wanted files.
func (pl *place) commonality(s *sourceDirs, node uint32) float64 {
	i := node % placeNodes
	if pl.nodes[i] != node+1 {
		var buf [maxDepth]uint64
		pl.nodes[i], pl.common[i] = node+1, Commonality(s.comps(&buf, node), pl.dirs)
	}
	return pl.common[i]
}

// match computes the probabilities of a file. They are then in Planner.matched.
func (p *Planner) match(f *file, n *parts) {
	p.place.at(p, f.dir)
	p.matched.n, f.rest, f.of = 0, 0, float32(p.groups.chunks)
	if p.groups.sources.n > exactSources {
		p.matchJoined(f, n)
		return
	}
	for s := range p.groups.first {
		p.matchSource(f, uint32(s), p.groups.first[s].similarityTo(n))
	}
}

// matchJoined compares a file with the sources that its keys bring up.
func (p *Planner) matchJoined(f *file, ps *parts) {
	n := ps.name()
	for _, s := range p.findSources(f, &n, p.place.dirs) {
		p.matchSource(f, s, p.nameSimilarity(s, &n))
	}
	f.rest += float32(p.base(f, &n))
}

// settleHomes notes a file with those of its groups that no other file was likelier to have. One that was read, or is,
// makes way for one as likely that still waits.
func (p *Planner) settleHomes(id uint32, of *pairs, read bool) {
	for i := range int(of.n) {
		p.settleHome(id, of.group[i], of.p[i], read)
	}
}

func (p *Planner) settleHome(id, group uint32, prob float32, read bool) {
	g := p.groups.list.at(group)
	if g.home == 0 {
		p.placed++
	}
	if g.home == 0 || prob > g.prob || !read && prob == g.prob {
		g.home, g.prob = id+1, prob
	}
}

// findSources returns the source files to compare with a file, ascending. Those with a worse key are
// looked for only if there are none with a better one.
func (p *Planner) findSources(f *file, n *Name, dirs []uint64) []uint32 {
	found := p.found[:0]
	j := &p.groups.joins
	keys := sourceKeys(n, dirs, f.size)
	found = j.find(found, joinTail2, keys[joinTail2])
	if len(found) == 0 {
		found = j.find(found, joinTail1, keys[joinTail1])
	}
	if len(found) == 0 {
		found = j.find(found, joinName, keys[joinName])
		found = j.findPrefixes(found, n)
	}
	found = j.find(found, joinSize, keys[joinSize])
	slices.Sort(found)
	return slices.Compact(found)
}

// matchSource pairs a file with the groups of a source, to whose name its own is similar.
func (p *Planner) matchSource(f *file, id uint32, name float64) {
	s := p.groups.sources.at(id)
	prob := fileProbability(s.size, f.size, s.mtime, f.mtime)
	if prob == 0 {
		return
	}
	prob *= p.place.commonality(p.groups.dirs, s.dir) * name
	left := maxLinks
	for at := s.links; at != 0 && left > 0; left-- {
		l := p.groups.links.at(at - 1)
		p.addPair(f, l.group, guessOf(prob, twins(s.size, f.size, name)))
		at = l.next
	}
}

// nameSimilarity compares a name with that of a source. The names of the first few are kept taken apart.
func (p *Planner) nameSimilarity(id uint32, n *Name) float64 {
	if int(id) < len(p.groups.first) {
		return NameSimilarity(&p.groups.first[id], n)
	}
	name := NewName(p.groups.names.get(p.groups.sources.at(id).name))
	return NameSimilarity(&name, n)
}

// addPair keeps the pair if it is among the best; a chunk of several source files counts with the
// likeliest.
func (p *Planner) addPair(f *file, g uint32, prob float32) {
	ps := &p.matched
	if ps.n == 0 {
		ps.group[0], ps.p[0], ps.n = g, prob, 1
		return
	}
	weight := func(g uint32, prob float32) float32 { return prob * float32(p.groups.list.at(g).chunks) }
	worst := 0
	for i := range int(ps.n) {
		if ps.group[i] == g {
			ps.p[i] = likelier(ps.p[i], prob)
			return
		}
		if weight(ps.group[i], ps.p[i]) < weight(ps.group[worst], ps.p[worst]) {
			worst = i
		}
	}
	if ps.n < maxPairs {
		ps.group[ps.n], ps.p[ps.n] = g, prob
		ps.n++
		return
	}
	if weight(ps.group[worst], ps.p[worst]) < weight(g, prob) {
		ps.group[worst], g = g, ps.group[worst]
		ps.p[worst], prob = prob, ps.p[worst]
	}
	f.rest += weight(g, prob)
}

// likelier is the larger of two guesses of one group, and of a twin if one of them is.
func likelier(a, b float32) float32 {
	return guessOf(float64(max(a, b)), isTwin(float64(a)) || isTwin(float64(b)))
}

// base is how many chunks are expected of a file from source files that it has no likeness with, but
// perhaps the extension: one term for its directory, size and extension.
func (p *Planner) base(f *file, n *Name) float64 {
	d := p.dirs.at(f.dir)
	p.refresh(f.dir, d)
	each := baseProbability * (1 + (typeName/otherName-1)*p.groups.typed(n.ext))
	return each * float64(d.sum) * p.groups.fit(f.size)
}

// comps writes the directories of a directory's path to buf.
func (p *Planner) comps(buf *[maxDepth]uint64, id uint32) []uint64 {
	d := p.dirs.at(id)
	dirs := buf[:d.depth]
	for d.parent != 0 {
		// Of a path that is too deep the highest directories stay.
		dirs[d.depth-1] = d.comp
		d = p.dirs.at(d.parent - 1)
	}
	return dirs
}

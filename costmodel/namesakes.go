package costmodel

// namesakes finds the files of the disk by name, and by name and directory. It is filled when it is asked, which is when
// something is wanted after files were seen.
type namesakes struct {
	names buckets         // chains, the file that was seen last first: file + 1
	tails buckets         // the same by the name of the directory, too
	links table[nameLink] // of the files that are in the chains
}

// nameLink is a file's place in its chains.
type nameLink struct {
	tag   uint32 // of the name
	alike uint32 // the next file in the chain of its name: file + 1
	tail  uint32 // the same of its name and directory
}

// fillStep bounds the files that one question puts into the chains. For a question that comes before all are, there is
// the sweep.
const fillStep = 16 << 10

func (s *namesakes) fill(p *Planner) {
	for end := min(p.files.n, s.links.n+fillStep); s.links.n < end; {
		if s.links.n >= perBucket*s.names.heads.n {
			s.names.grow(p.afterNamesake)
			s.tails.grow(p.afterTail)
		}
		id := s.links.add(nameLink{tag: tagOfName(hashString(p.names.get(p.files.at(uint32(s.links.n)).name)))})
		l := s.links.at(id)
		head := s.names.of(l.tag)
		l.alike, *head = *head, id+1
		tail := s.tails.of(p.tailTag(id))
		l.tail, *tail = *tail, id+1
	}
}

func (p *Planner) afterNamesake(element uint32) (next *uint32, hash uint32) {
	l := p.named.links.at(element - 1)
	return &l.alike, l.tag
}

func (p *Planner) afterTail(element uint32) (next *uint32, hash uint32) {
	return &p.named.links.at(element - 1).tail, p.tailTag(element - 1)
}

// tagOfName makes what buckets need of the hash of a name.
func tagOfName(full uint64) uint32 { return uint32(full>>32) ^ uint32(full) }

// tagOfTail is tagOfName for a name and the hash of its directory's name.
func tagOfTail(tag uint32, dir uint64) uint32 { return tagOfName(mix(uint64(tag), dir)) }

func (p *Planner) tailTag(id uint32) uint32 {
	return tagOfTail(p.named.links.at(id).tag, p.dirs.at(p.files.at(id).dir).comp)
}

// maxNamesakes bounds the files that are compared at once with a wanted file of the same name, or with those of its name
// and directory.
const maxNamesakes = 16

// reviewNamesakes compares the known files that have the name of a group's file with what is wanted, those in a
// directory of the same name alone if there are any. They are the likeliest to have it, and the sweep would take its
// time. The likeliest of those that were read before anybody wanted this is kept for ReadBefore.
func (p *Planner) reviewNamesakes(g GroupID) {
	if p.files.n == 0 {
		return
	}
	p.named.fill(p)
	src := p.groups.sources.at(p.groups.list.at(uint32(g)).first)
	name := p.groups.names.get(src.name)
	tag := tagOfName(hashString(name))
	dir := p.groups.dirs.nodes.at(src.dir).comp
	p.plan.stale = true
	left := maxNamesakes
	for next := *p.named.tails.of(tagOfTail(tag, dir)); next != 0 && left > 0; {
		f, l := p.files.at(next-1), p.named.links.at(next-1)
		if l.tag == tag && p.dirs.at(f.dir).comp == dir && p.names.get(f.name) == name {
			p.reviewNamesake(g, next-1)
			left--
		}
		next = l.tail
	}
	if left < maxNamesakes {
		return
	}
	for next := *p.named.names.of(tag); next != 0 && left > 0; {
		l := p.named.links.at(next - 1)
		if l.tag == tag && p.names.get(p.files.at(next-1).name) == name {
			p.reviewNamesake(g, next-1)
			left--
		}
		next = l.alike
	}
}

func (p *Planner) reviewNamesake(g GroupID, id uint32) {
	p.reviewFile(id)
	p.noteRead(uint32(g), id)
}

// noteRead keeps a file that was hashed to its end and had nothing, if it is likelier than others to have been an
// older version of a group's file.
func (p *Planner) noteRead(g, id uint32) {
	f := p.files.at(id)
	if f.state != ended || f.hits > 0 || f.rests() > 0 {
		return
	}
	pairs := p.pairsNow(f)
	p.settleHomes(id, &pairs, true)
	if gr, prob := p.groups.list.at(g), pairs.of(g); prob > gr.readProb {
		gr.read, gr.readProb = id+1, prob
	}
}

// pairsNow is what a file is likeliest to have by what is wanted now: it may have been compared with what was wanted
// earlier.
func (p *Planner) pairsNow(f *file) pairs {
	now := *f
	n := partsOf(p.names.get(f.name))
	p.match(&now, &n)
	return p.matched
}

// ReadBefore is a file with the very name of a group's file that was hashed to its end before the group was wanted, had
// nothing that was wanted then, and probably is an older version; of at most so many bytes, and at least as
// likely as that. False if there is none.
func (p *Planner) ReadBefore(id GroupID, maxBytes int64, atLeast float64) (FileID, bool) {
	gr := p.groups.list.at(uint32(id))
	if gr.read == 0 || float64(gr.readProb) < atLeast || p.files.at(gr.read-1).size > maxBytes {
		return 0, false
	}
	return FileID(gr.read - 1), true
}

package costmodel

// namesakes finds the files of the disk by name. It is filled when it is asked, and mostly never: what is wanted is
// mostly known before what is there.
type namesakes struct {
	chains buckets // the file that was seen last first: file + 1
	filled uint32  // files that are in the chains
}

// fillStep bounds the files that one question puts into the chains. For a question that comes before all are, there is
// the sweep.
const fillStep = 16 << 10

func (s *namesakes) fill(p *Planner) {
	for end := min(uint32(p.files.n), s.filled+fillStep); s.filled < end; s.filled++ {
		if int(s.filled) >= perBucket*s.chains.heads.n {
			s.chains.grow(p.afterNamesake)
		}
		f := p.files.at(s.filled)
		head := s.chains.of(f.tag)
		f.alike, *head = *head, s.filled+1
	}
}

func (p *Planner) afterNamesake(element uint32) (next *uint32, hash uint32) {
	f := p.files.at(element - 1)
	return &f.alike, f.tag
}

// tagOfName makes what buckets need of the hash of a name.
func tagOfName(full uint64) uint32 { return uint32(full>>32) ^ uint32(full) }

// maxNamesakes bounds the files that are compared at once with a wanted file of the same name.
const maxNamesakes = 16

// reviewNamesakes compares the known files that have the name of a group's file with what is wanted. They
// are the likeliest to have it, and the sweep would take its time.
func (p *Planner) reviewNamesakes(g GroupID) {
	if p.files.n == 0 {
		return
	}
	p.named.fill(p)
	name := p.groups.names.get(p.groups.sources.at(p.groups.list.at(uint32(g)).first).name)
	tag := tagOfName(hashString(name))
	next := *p.named.chains.of(tag)
	for left := maxNamesakes; next != 0 && left > 0; {
		f := p.files.at(next - 1)
		if f.tag == tag && p.names.get(f.name) == name {
			p.reviewFile(next - 1)
			left--
		}
		next = f.alike
	}
	p.plan.stale = true
}

package costmodel

// addNamesake puts a file into the chain of its name.
func (p *Planner) addNamesake(id uint32) {
	if int(id) >= perBucket*p.named.heads.n {
		p.named.grow(p.afterNamesake)
	}
	f := p.files.at(id)
	head := p.named.of(f.tag)
	f.alike, *head = *head, id+1
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
	name := p.groups.names.get(p.groups.sources.at(p.groups.list.at(uint32(g)).first).name)
	tag := tagOfName(hashString(name))
	next := *p.named.of(tag)
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

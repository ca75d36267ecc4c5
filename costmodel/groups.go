package costmodel

import "math/bits"

// SourceID numbers the source files of a Planner from 0.
type SourceID uint32

// GroupID numbers the groups of a Planner from 0. A group is the chunks that occur in the same set
// of source files.
type GroupID uint32

// maxGroupSources bounds the source files of a group that are looked at.
const maxGroupSources = 8

// source is a source file.
type source struct {
	name  nameRef
	dir   uint32 // node of sourceDirs
	links uint32 // first of its groups: link + 1
	solo  uint32 // group of the chunks that occur in no other file: group + 1
	also  uint32 // the same file at its other place: source + 1
	size  int64
	mtime int64
}

// link chains the groups of a source.
type link struct {
	group uint32
	next  uint32 // link + 1
}

// group counts the wanted chunks with one set of source files.
type group struct {
	first  uint32  // one of its source files
	chunks uint32  // wanted
	bytes  int64   // wanted
	open   float32 // Π(1−p) over the operations under way
	left   float32 // the same over the planned ones; of plan
	eta    float32 // seconds, without what never comes; of plan
	plan   uint32  // number of the plan that wrote left and eta
	home   uint32  // the likeliest file: file + 1; 0 if there is none
	prob   float32 // that it holds the group's chunks, as it was guessed
	read   uint32  // see ReadBefore: file + 1; 0 if there is none

	readProb float32 // that it has the group's chunks, as it is guessed
}

// groups has the source files, and the chunks that are wanted of them.
type groups struct {
	sources table[source]
	names   names
	first   []Name // of the first sources
	links   table[link]
	list    table[group]
	bySet   map[uint64]uint32
	dirs    *sourceDirs
	joins   joins
	chunks  int64              // wanted
	bytes   int64              // wanted
	sizes   [64]float64        // wanted chunks by log₂ of their file's size
	types   map[uint64]float64 // wanted chunks by extension
}

func newGroups() groups {
	return groups{bySet: map[uint64]uint32{}, dirs: newSourceDirs(), types: map[uint64]float64{}}
}

func (g *groups) addSource(f *SourceFile) SourceID {
	dirs := f.Path.dirs
	keys := sourceKeys(&f.Path.name, dirs, f.Size)
	g.joins.add(&keys)
	name := g.names.add(f.Path.name.text)
	if len(g.first) < exactSources {
		g.first = append(g.first, NewName(g.names.get(name)))
	}
	return SourceID(g.sources.add(source{
		name:  name,
		dir:   g.dirs.add(dirs, f.Path.bases),
		size:  f.Size,
		mtime: f.MTime,
	}))
}

// of returns the group of a set of sources. Two sets whose hashes collide share one.
func (g *groups) of(srcs []SourceID) GroupID {
	if len(srcs) == 1 {
		return GroupID(g.ofOne(srcs[0]))
	}
	srcs = srcs[:min(len(srcs), maxGroupSources)]
	var h uint64
	for _, s := range srcs {
		h += mix(hashStart, uint64(s)+1) // the order must not matter
	}
	if id, ok := g.bySet[h]; ok {
		return GroupID(id)
	}
	id := g.list.add(group{first: uint32(srcs[0]), open: 1})
	g.bySet[h] = id
	for _, s := range srcs {
		g.join(id, s)
	}
	return GroupID(id)
}

func (g *groups) ofOne(s SourceID) uint32 {
	src := g.sources.at(uint32(s))
	if src.solo == 0 {
		src.solo = g.list.add(group{first: uint32(s), open: 1}) + 1
		g.join(src.solo-1, s)
		if src.also != 0 {
			g.join(src.solo-1, SourceID(src.also-1))
		}
	}
	return src.solo - 1
}

func (g *groups) join(id uint32, s SourceID) {
	src := g.sources.at(uint32(s))
	src.links = g.links.add(link{group: id, next: src.links}) + 1
}

// want changes what is wanted of a group.
func (g *groups) want(id GroupID, chunks int, bytes int64) {
	gr := g.list.at(uint32(id))
	chunks = max(chunks, -int(gr.chunks))
	bytes = max(bytes, -gr.bytes)
	if int(gr.chunks)+chunks == 0 {
		bytes = -gr.bytes
	}
	gr.chunks = uint32(int(gr.chunks) + chunks)
	gr.bytes += bytes
	g.chunks += int64(chunks)
	g.bytes += bytes
	src := g.sources.at(gr.first)
	g.dirs.want(src.dir, float64(chunks))
	if src.also != 0 {
		g.dirs.want(g.sources.at(src.also-1).dir, float64(chunks))
	}
	g.sizes[bucket(src.size)] += float64(chunks)
	if name := NewName(g.names.get(src.name)); name.ext != "" {
		g.types[hashString(name.ext)] += float64(chunks)
	}
}

// bucket is ⌊log₂ size⌋.
func bucket(size int64) int { return max(0, bits.Len64(uint64(max(0, size)))-1) }

// fit is the mean over all wanted chunks of pmc for a file of the given size, by powers of two.
func (g *groups) fit(size int64) float64 {
	if g.chunks == 0 {
		return 0
	}
	b, sum := bucket(size), 0.0
	for i, n := range g.sizes {
		if i <= b {
			sum += n
		} else {
			sum += n / float64(uint64(1)<<(i-b))
		}
	}
	return sum / float64(g.chunks)
}

// typed is the share of the wanted chunks whose file has the extension.
func (g *groups) typed(ext string) float64 {
	if ext == "" || g.chunks == 0 {
		return 0
	}
	return max(0, g.types[hashString(ext)]) / float64(g.chunks)
}

// chunkLen is the mean length of a wanted chunk.
func (g *groups) chunkLen() float64 {
	if g.chunks == 0 {
		return chunkBytes
	}
	return max(1, float64(g.bytes)/float64(g.chunks))
}

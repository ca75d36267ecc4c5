package costmodel

import "slices"

// sourceDirs is the tree of the directories that source files will stand in, and how many chunks are
// wanted of each. It answers for any directory of the disk how close wanted chunks are (near).
//
// The common beginning of two paths is found by walking down the tree, the common end by a table of
// ends; with few source directories each is looked at instead, which also finds common middles.
type sourceDirs struct {
	nodes  table[dirNode]
	byPath map[uint64]uint32 // hash of the directories from the top → node
	byEnd  map[uint64]endSum // hash of the last directories → sum
	direct []sourceDir       // with source files, up to exactDirs+1
	wanted float64           // chunks, all directories
}

// exactDirs is up to how many source directories each is compared with.
const exactDirs = 64

// maxEnd is the longest common end that the table of ends knows.
const maxEnd = 4

// sourceDir is a directory in which source files stand.
type sourceDir struct {
	node  uint32
	dirs  []uint64 // its path
	bases []uint64 // see baseHash
}

type dirNode struct {
	comp    uint64
	parent  uint32  // node + 1
	depth   uint8   // directories
	nearest uint8   // steps down to the nearest source directory
	direct  bool    // source files stand right in it
	here    float32 // wanted chunks right in it
	below   float32 // wanted chunks in it and below, each step down weighted by hopDecay
}

// endSum is what the source directories with a common end have.
type endSum struct {
	wanted  float32
	deepest uint8 // of the shallowest of them: directories
}

func newSourceDirs() *sourceDirs {
	return &sourceDirs{byPath: map[uint64]uint32{}, byEnd: map[uint64]endSum{}}
}

// add returns the node of a directory in which a source file stands.
func (s *sourceDirs) add(dirs, bases []uint64) uint32 {
	node := s.node(dirs)
	n := s.nodes.at(node)
	if n.direct {
		return node
	}
	n.direct = true
	if len(s.direct) <= exactDirs {
		s.direct = append(s.direct, sourceDir{node, slices.Clone(dirs), slices.Clone(bases)})
	}
	s.markNearest(node)
	depth := uint8(len(dirs))
	eachEnd(dirs, func(h uint64, _ int) bool {
		e, ok := s.byEnd[h]
		if !ok || depth < e.deepest {
			e.deepest = depth
		}
		s.byEnd[h] = e
		return true
	})
	return node
}

// node returns the node of a directory, made with those above it if need be.
func (s *sourceDirs) node(dirs []uint64) uint32 {
	h := hashStart
	at := s.child(h, dirNode{})
	for i, c := range dirs {
		h = mix(h, c)
		at = s.child(h, dirNode{comp: c, parent: at + 1, depth: uint8(i + 1)})
	}
	return at
}

func (s *sourceDirs) child(h uint64, n dirNode) uint32 {
	at, ok := s.byPath[h]
	if !ok {
		n.nearest = 2 * maxDepth
		at = s.nodes.add(n)
		s.byPath[h] = at
	}
	return at
}

func (s *sourceDirs) markNearest(node uint32) {
	for steps := uint8(0); ; steps++ {
		n := s.nodes.at(node)
		n.nearest = min(n.nearest, steps)
		if n.parent == 0 {
			return
		}
		node = n.parent - 1
	}
}

// want changes the number of chunks wanted of a directory.
func (s *sourceDirs) want(node uint32, chunks float64) {
	var buf [maxDepth]uint64
	dirs := s.comps(&buf, node)
	s.wanted = max(0, s.wanted+chunks)
	s.nodes.at(node).here = max(0, s.nodes.at(node).here+float32(chunks))
	for w := chunks; ; w *= hopDecay {
		n := s.nodes.at(node)
		n.below = max(0, n.below+float32(w))
		if n.parent == 0 {
			break
		}
		node = n.parent - 1
	}
	eachEnd(dirs, func(h uint64, _ int) bool {
		e := s.byEnd[h]
		e.wanted = max(0, e.wanted+float32(chunks))
		s.byEnd[h] = e
		return true
	})
}

// comps writes the directories of a node to buf.
func (s *sourceDirs) comps(buf *[maxDepth]uint64, node uint32) []uint64 {
	n := s.nodes.at(node)
	dirs := buf[:n.depth]
	for i := len(dirs) - 1; i >= 0; i-- {
		dirs[i] = n.comp
		n = s.nodes.at(n.parent - 1)
	}
	return dirs
}

// eachEnd calls f with the hashes of the last 1, 2, … directories, until f says no.
func eachEnd(dirs []uint64, f func(h uint64, n int) bool) {
	h := hashStart
	for n := 1; n <= min(maxEnd, len(dirs)); n++ {
		h = mix(h, dirs[len(dirs)-n])
		if !f(h, n) {
			return
		}
	}
}

// near returns the sum over all wanted chunks of the commonality of their directory with dirs, and
// the largest of these commonalities. base is the base hash of the last of dirs.
func (s *sourceDirs) near(dirs []uint64, base uint64) (sum, best float64) {
	if s.nodes.n == 0 {
		return 0, 0
	}
	if len(s.direct) <= exactDirs {
		return s.nearExact(dirs, base)
	}
	sum, best = s.nearTree(dirs)
	endSum, endBest := s.nearEnds(dirs)
	return min(sum+endSum, s.wanted), max(best, endBest)
}

func (s *sourceDirs) nearExact(dirs []uint64, base uint64) (sum, best float64) {
	for i := range s.direct {
		d := &s.direct[i]
		here := float64(s.nodes.at(d.node).here)
		if here == 0 {
			continue
		}
		p := max(Commonality(d.dirs, dirs), Promise(d.dirs, dirs), renamedPromise(d.dirs, d.bases, dirs, base))
		sum += p * here
		best = max(best, p)
	}
	return sum, best
}

// nearTree walks down as far as the tree knows dirs. What hangs below a node on the way, but not
// below the next, shares just that node's path.
func (s *sourceDirs) nearTree(dirs []uint64) (sum, best float64) {
	h := hashStart
	at, ok := s.byPath[h]
	for depth := 0; ok; depth++ {
		n := s.nodes.at(at)
		below := float64(n.below)
		ok = false
		if depth < len(dirs) {
			h = mix(h, dirs[depth])
			if at, ok = s.byPath[h]; ok {
				below -= hopDecay * float64(s.nodes.at(at).below)
			}
		}
		up := len(dirs) - depth
		sum += hopPowers[up] * max(0, below)
		best = max(best, hopPowers[min(2*maxDepth, up+int(n.nearest))])
	}
	return sum, best
}

// nearEnds sums over the common ends. The paths are taken to be as long as the longer of dirs and
// the shortest path with that end.
func (s *sourceDirs) nearEnds(dirs []uint64) (sum, best float64) {
	before, part := 0.0, 0.0 // of the next shorter end
	eachEnd(dirs, func(h uint64, n int) bool {
		e, ok := s.byEnd[h]
		if !ok {
			return false
		}
		sum += part * max(0, before-float64(e.wanted))
		before, part = float64(e.wanted), float64(n)/float64(max(len(dirs), int(e.deepest)))
		best = max(best, min(1, part))
		return true
	})
	return sum + min(1, part)*before, best
}

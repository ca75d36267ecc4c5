package recipe

// Expected is the chunk that probably follows another one.
type Expected struct {
	ID   ID
	Len  uint32 // bytes
	Last bool   // it ends its file, and need not end where content says
}

// Follows says which chunk probably follows another one in a file; false if that is not known. Whoever cuts a
// file that he expects to be much like another saves the search for the ends of chunks: he only
// compares. It may be called from several goroutines.
type Follows func(after ID) (Expected, bool)

// forecast is what elements expect of the file.
type forecast struct {
	follows Follows // nil: nothing
	prev    ID      // the chunk that ends where the next element begins
	known   bool    // there is one
	missed  bool    // what follows it was another than was expected
	chain   int     // chunks that are compared at once next time
	ids     []ID    // of these
	ahead   int     // chunks that are cut at once next time
}

// expect begins to expect what f says.
func (e *elements) expect(f Follows) {
	e.cast = forecast{follows: f, chain: 1, ahead: e.most, ids: e.cast.ids[:0]}
	if f != nil {
		e.cast.ahead = min(e.most, 2)
	}
}

// guess compares the chunks at pos with those that are expected there. It says whether one is right; it and those
// behind it that are right too count as cut.
//
// A chunk that follows another one in a recipe, and is not the last of its file, was cut by its content; so what has the same
// content is an element here too.
func (e *elements) guess(pos, stop int64) bool {
	c := &e.cast
	if c.follows == nil || !c.known || c.missed {
		c.missed = false
		return false
	}
	e.lens, e.done, e.at = e.lens[:0], 0, pos
	end := e.foresee(pos, stop)
	if end == pos {
		return false
	}
	e.hash.Chunks(e.ids, e.buf[pos-e.base:], e.lens)
	right := 0
	for right < len(c.ids) && e.ids[right] == c.ids[right] {
		right++
	}
	if right < len(c.ids) {
		c.missed, c.chain, c.ahead = right > 0, 1, 1
		e.lens = e.lens[:right]
	} else {
		c.chain = min(2*c.chain, e.most)
	}
	for _, n := range e.lens {
		pos += int64(n)
	}
	if e.scan < pos || e.run >= 0 && e.run < pos || e.hole >= 0 && e.hole < pos {
		e.scan, e.run, e.hole = alignUp(pos), -1, -1
	}
	return right > 0
}

// foresee notes the chunks that are expected from pos on, as far as the buffer and the file tell, and returns where they end.
func (e *elements) foresee(pos, stop int64) int64 {
	c := &e.cast
	c.ids = c.ids[:0]
	for after := c.prev; len(c.ids) < c.chain && pos < min(stop, e.size); {
		x, ok := c.follows(after)
		end := pos + int64(x.Len)
		if !ok || int(x.Len) > e.cutter.max || int(x.Len) < e.cutter.min && !x.Last || x.Len == 0 || end > e.size || !e.holds(pos, int64(x.Len)) || x.Last && end != e.size {
			break
		}
		c.ids, e.lens = append(c.ids, x.ID), append(e.lens, x.Len)
		pos, after = end, x.ID
	}
	return pos
}

package fetch

import (
	"time"

	"dfetch/costmodel"
)

// While the disk goes through a long file that has much of a wanted one, in the order of its content, the network
// would run ahead of it or fetch what it is about to bring. So the network takes what the disk has passed and
// did not have, and after that goes from the file's end to meet the disk: in blocks, each of them forward, since a sender
// reads backward badly.

// behindBlock is the chunks of a block. Shorter files are asked for as they come.
const behindBlock = 512

// behind is the file that the network takes from its end.
type behind struct {
	on     bool
	group  uint32
	passed uint64 // ordinal behind the last chunk that the disk brought
	front  uint64 // ordinals before it were taken, as far as they can be
	at     uint64 // next of the block
	lo, hi uint64 // the block
	end    uint64 // of the file, when the way down began there
	took   bool   // something, on the way down
}

// passed notes that the disk has come to an ordinal of a group, in the order of the local file.
func (s *search) passed(group uint32, ord uint64) {
	b := &s.behind
	if !b.on || b.group != group {
		g := &s.groups[group]
		if !s.hashing() || !g.known || g.end-g.begin < 2*behindBlock {
			return
		}
		*b = behind{on: true, group: group, front: g.begin}
	}
	b.passed = max(b.passed, ord)
}

// hashing says whether a file is being hashed.
func (s *search) hashing() bool {
	for i := range s.running {
		if s.running[i].op.Kind == costmodel.OpHash {
			return true
		}
	}
	return false
}

// followed says whether a file is taken from its end at present: until the disk is through with it, even while it rests.
func (s *search) followed() bool {
	b := &s.behind
	if b.on {
		p, _ := s.planner.Later(s.groups[b.group].id)
		b.on = p > 0
	}
	return b.on
}

// pickPassed takes what the disk has passed of the file that it goes through.
func (c *Core) pickPassed(now time.Time, limit int64, bytes *int64, take func(*chunk)) {
	s := c.search
	if !s.followed() {
		return
	}
	b := &s.behind
	b.front = c.takeFrom(now, b.front, b.passed, limit, bytes, take)
}

// pickBehind takes chunks from the end of the file that the disk goes through.
func (c *Core) pickBehind(now time.Time, limit int64, bytes *int64, take func(*chunk)) {
	s := c.search
	if !s.followed() || s.holding(now) && s.holds(now, s.behind.group) {
		return
	}
	b := &s.behind
	if end := s.groups[b.group].end; b.took && end-b.passed > 2*(b.end-min(b.end, b.passed)) {
		b.lo, b.at, b.hi = 0, 0, 0 // much more has been planned
	}
	for *bytes < limit {
		if b.at >= b.hi && !b.below(s.groups[b.group].end) {
			return
		}
		before := *bytes
		b.at = c.takeFrom(now, max(b.at, b.passed), b.hi, limit, bytes, take)
		b.took = b.took || *bytes > before
	}
}

// takeFrom takes chunks of the file from an ordinal on, and returns how far it came.
func (c *Core) takeFrom(now time.Time, from, to uint64, limit int64, bytes *int64, take func(*chunk)) uint64 {
	holding := c.search.holding(now)
	for i := c.find(from); i < len(c.chunks) && c.chunks[i].ordinal < to; i++ {
		ch := &c.chunks[i]
		if *bytes >= limit {
			return ch.ordinal
		}
		if ch.group == c.search.behind.group && ch.fresh() && !c.heldBack(now, ch, holding) {
			take(ch)
		}
	}
	return to
}

// below goes on to the block below; when the disk is met, to what is the end by now. It says false if nothing is left.
func (b *behind) below(end uint64) bool {
	hi := b.lo
	if hi <= b.passed {
		if !b.took && b.end == end {
			return false
		}
		hi, b.took, b.end = end, false, end
	}
	if hi <= b.passed {
		return false
	}
	b.hi, b.lo = hi, max(b.passed, hi-min(hi, behindBlock))
	b.at = b.lo
	return true
}

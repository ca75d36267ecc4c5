package fetch

import (
	"slices"
	"time"

	"dfetch/costmodel"
)

// While the disk goes through a long file that has much of a wanted one, in the order of its content, the network
// would run ahead of it or fetch what it is about to bring. So the network takes what the disk has passed and
// did not have, and after that goes from the file's end to meet the disk: in blocks, each of them forward, since a sender
// reads backward badly.

// Bounds of what is taken from the end.
const (
	behindBlock = 512 // chunks of a block; files of less than two are asked for as they come
	maxStrips   = 16  // of what was planned while another part was being taken
)

// behind is the file that the network takes from its end.
type behind struct {
	on     bool
	group  uint32
	passed uint64  // ordinal behind the last chunk that the disk brought
	front  uint64  // ordinals before it were taken, as far as they can be
	at     uint64  // next of the block
	stop   uint64  // its end
	strips []strip // not taken yet, the last one first; as more is planned, there are more
	end    uint64  // what is planned and in strips
}

// strip is a part of the file.
type strip struct{ from, to uint64 }

// passed notes that the disk has come to an ordinal of a group, in the order of the local file.
func (s *search) passed(group uint32, ord uint64) {
	b := &s.behind
	if b.group != group || !b.on {
		if int(group) >= len(s.groups) || s.followed() {
			return
		}
		g := &s.groups[group]
		if !s.hashing() || !g.known || g.end-g.begin < 2*behindBlock {
			return
		}
		*b = behind{on: true, group: group, front: g.begin, end: g.begin}
	}
	b.passed = max(b.passed, ord)
}

// hashing says whether a file is being hashed.
func (s *search) hashing() bool {
	return slices.ContainsFunc(s.running, func(r running) bool { return r.op.Kind == costmodel.OpHash })
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

// pickPassed takes what the disk has passed of the file that it goes through. What it has not passed may be left to it
// meanwhile.
func (c *Core) pickPassed(now time.Time, limit int64, bytes *int64, take func(*chunk)) {
	s := c.search
	if !s.followed() {
		return
	}
	b := &s.behind
	b.front = c.takeFrom(now, b.front, b.passed, false, limit, bytes, take)
}

// pickBehind takes chunks from the end of the file that the disk goes through.
func (c *Core) pickBehind(now time.Time, limit int64, bytes *int64, take func(*chunk)) {
	s := c.search
	if !s.followed() || s.holding(now) && s.holds(now, s.behind.group) {
		return
	}
	b := &s.behind
	b.grow(s.groups[b.group].end)
	for *bytes < limit && (b.at < b.stop || b.nextBlock()) {
		b.at = c.takeFrom(now, max(b.at, b.passed), b.stop, c.search.holding(now), limit, bytes, take)
	}
}

// takeFrom takes chunks of the file from an ordinal on, and returns how far it came. holding is as in heldBack.
func (c *Core) takeFrom(now time.Time, from, to uint64, holding bool, limit int64, bytes *int64, take func(*chunk)) uint64 {
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

// grow takes in that the file is planned up to an ordinal.
func (b *behind) grow(end uint64) {
	if end <= b.end {
		return
	}
	if n := len(b.strips); n > 0 && (b.strips[n-1].to == b.end || n == maxStrips) {
		b.strips[n-1].to = end
	} else {
		b.strips = append(b.strips, strip{b.end, end})
	}
	b.end = end
}

// nextBlock goes on to the block below, or to the next strip. It says false if nothing is left.
func (b *behind) nextBlock() bool {
	for n := len(b.strips); n > 0; n = len(b.strips) {
		last := &b.strips[n-1]
		if from := max(last.from, b.passed); from < last.to {
			b.stop = last.to
			b.at = max(from, last.to-min(last.to, behindBlock))
			last.to = b.at
			return true
		}
		b.strips = b.strips[:n-1]
	}
	return false
}

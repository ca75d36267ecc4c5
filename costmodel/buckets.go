package costmodel

import "math/bits"

// buckets are the heads of chains by hash. They grow one by one, each by parting an older one, so no
// decision has to wait until a large table is filled anew.
type buckets struct{ heads table[uint32] }

// of is the place of the head of a hash's chain. There must be a bucket.
func (b *buckets) of(hash uint32) *uint32 {
	all := uint32(1)<<bits.Len32(uint32(b.heads.n)-1) - 1 // of the next power of two
	i := hash & all
	if i >= uint32(b.heads.n) {
		i &= all >> 1
	}
	return b.heads.at(i)
}

// grow adds a bucket and parts the chain of an older one between both, in its order. next gives the
// place where an element keeps the one after it, and its hash; elements are numbered from 1.
func (b *buckets) grow(next func(element uint32) (*uint32, uint32)) {
	n := uint32(b.heads.n)
	b.heads.add(0)
	if n == 0 {
		return
	}
	half := uint32(1) << (bits.Len32(n) - 1)
	stays, goes := b.heads.at(n&^half), b.heads.at(n)
	for at := *stays; at != 0; {
		after, hash := next(at)
		if hash&half != 0 {
			*goes, goes = at, after
		} else {
			*stays, stays = at, after
		}
		at = *after
	}
	*stays, *goes = 0, 0
}

// perBucket is the mean length of the chains.
const perBucket = 2

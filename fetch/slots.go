package fetch

// slotBlock is how many slots are allocated together.
const slotBlock = 1024

// slots is a queue of slots. They lie in blocks and do not move: a slice that grows would copy them, and touch as much
// memory again.
type slots struct {
	blocks []*[slotBlock]slot
	n      int
	spare  *[slotBlock]slot // was cut off; cleared
}

func (s *slots) len() int { return s.n }

// at is a slot, counted from the first that was not cut off.
func (s *slots) at(i int) *slot { return &s.blocks[i/slotBlock][i%slotBlock] }

func (s *slots) add(v slot) {
	if s.n == len(s.blocks)*slotBlock {
		if s.spare == nil {
			s.spare = new([slotBlock]slot)
		}
		s.blocks = append(s.blocks, s.spare)
		s.spare = nil
	}
	s.n++
	*s.at(s.n - 1) = v
}

// cut drops the first slotBlock slots. There must be as many.
func (s *slots) cut() {
	s.spare = s.blocks[0]
	*s.spare = [slotBlock]slot{}
	s.blocks[0] = nil
	s.blocks = s.blocks[1:]
	s.n -= slotBlock
}

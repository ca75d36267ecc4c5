package netlab

// fifo is a ring of packets that grows as needed; its user bounds it.
type fifo struct {
	ring []Packet
	head int
	n    int
}

func (q *fifo) push(p Packet) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = p
	q.n++
}

func (q *fifo) grow() {
	ring := make([]Packet, max(64, 2*len(q.ring)))
	k := copy(ring, q.ring[q.head:])
	copy(ring[k:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

func (q *fifo) peek() *Packet { return &q.ring[q.head] }

func (q *fifo) pop() Packet {
	p := q.ring[q.head]
	q.ring[q.head] = Packet{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return p
}

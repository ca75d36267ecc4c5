package sourcetest

import (
	"bytes"
	"math/rand/v2"
)

// Faults says how a far end misbehaves. The zero value behaves. Shares are probabilities, drawn for
// each chunk from Seed; counts are chunks that were answered before, and zero is never.
type Faults struct {
	Seed       uint64
	Corrupt    float64 // a byte differs
	Short      float64 // the last byte is missing
	Duplicate  float64 // it comes twice
	Unasked    float64 // another chunk comes with it
	Refuse     float64 // it is not held
	Reorder    bool    // answers come in random order
	StallAfter int     // then nothing comes any more
	CloseAfter int     // then the connection is closed
	FloodAfter int     // then chunks come that nobody asked for, without end
}

// Op is what a far end does next.
type Op uint8

// Operations of a far end.
const (
	OpData   Op = iota // send Data as chunk Ordinal
	OpRefuse           // say that Ordinal is not held
	OpStall            // do nothing from now on
	OpClose            // close the connection
	OpFlood            // send Data as chunk Ordinal for ever
)

// Answer is one thing that a far end does.
type Answer struct {
	Op      Op
	Ordinal uint64
	Data    []byte
}

// Peer is a far end that holds chunks and misbehaves. It is used by one goroutine.
type Peer struct {
	chunks *Chunks
	faults Faults
	rng    *rand.Rand
	count  int
}

// NewPeer makes a far end.
func NewPeer(chunks *Chunks, faults Faults) *Peer {
	return &Peer{chunks: chunks, faults: faults, rng: rand.New(rand.NewPCG(faults.Seed, 1))}
}

// Answer says what the far end does when it is asked for these chunks.
func (p *Peer) Answer(ordinals []uint64) []Answer {
	ordinals = append([]uint64(nil), ordinals...)
	if p.faults.Reorder {
		p.rng.Shuffle(len(ordinals), func(i, j int) { ordinals[i], ordinals[j] = ordinals[j], ordinals[i] })
	}
	var answers []Answer
	for _, ordinal := range ordinals {
		if end, ok := p.ending(); ok {
			return append(answers, end)
		}
		answers = p.answer(answers, ordinal)
		p.count++
	}
	return answers
}

func (p *Peer) ending() (Answer, bool) {
	f := &p.faults
	switch {
	case f.StallAfter > 0 && p.count >= f.StallAfter:
		return Answer{Op: OpStall}, true
	case f.CloseAfter > 0 && p.count >= f.CloseAfter:
		return Answer{Op: OpClose}, true
	case f.FloodAfter > 0 && p.count >= f.FloodAfter:
		return Answer{Op: OpFlood, Ordinal: 0, Data: p.chunks.Data(0)}, true
	}
	return Answer{}, false
}

func (p *Peer) answer(answers []Answer, ordinal uint64) []Answer {
	if p.hit(p.faults.Refuse) {
		return append(answers, Answer{Op: OpRefuse, Ordinal: ordinal})
	}
	a := Answer{Op: OpData, Ordinal: ordinal, Data: p.spoil(p.chunks.Data(ordinal))}
	answers = append(answers, a)
	if p.hit(p.faults.Duplicate) {
		answers = append(answers, a)
	}
	if p.hit(p.faults.Unasked) {
		other := p.rng.Uint64N(uint64(len(p.chunks.Wants)))
		answers = append(answers, Answer{Op: OpData, Ordinal: other, Data: p.chunks.Data(other)})
	}
	return answers
}

func (p *Peer) spoil(data []byte) []byte {
	if p.hit(p.faults.Corrupt) {
		data = bytes.Clone(data)
		data[p.rng.IntN(len(data))] ^= 1 << p.rng.IntN(8)
	}
	if p.hit(p.faults.Short) && len(data) > 1 {
		data = data[:len(data)-1]
	}
	return data
}

func (p *Peer) hit(share float64) bool { return share > 0 && p.rng.Float64() < share }

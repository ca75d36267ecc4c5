package sourcetest

import (
	"bytes"
	"math/rand/v2"

	"dfetch/recipe"
	"dfetch/sources"
)

// Faults says how a far end misbehaves. The zero value behaves. Shares are probabilities, drawn for
// each chunk from Seed; counts are answers that were given before, and zero is never.
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
	OpParts            // send Data as Spans of chunk Ordinal
	OpFine             // send Fine as the list of chunk Ordinal
	OpNoFine           // say that there is no list of chunk Ordinal
)

// Answer is one thing that a far end does.
type Answer struct {
	Op      Op
	Ordinal uint64
	Data    []byte
	Spans   []sources.Span
	Fine    recipe.FineList
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
	return answerAll(p, ordinals, p.answer)
}

// AnswerParts says what it does when it is asked for parts of chunks. Corrupt and Short are about the parts.
func (p *Peer) AnswerParts(parts []sources.Part) []Answer {
	return answerAll(p, parts, p.answerPart)
}

// AnswerZoom says what it does when it is asked for fine lists. Corrupt lists have a wrong sum; what else is
// wrong with them a source takes for a breach of the protocol.
func (p *Peer) AnswerZoom(ordinals []uint64) []Answer {
	return answerAll(p, ordinals, p.answerFine)
}

func answerAll[T any](p *Peer, asked []T, answer func([]Answer, T) []Answer) []Answer {
	asked = append([]T(nil), asked...)
	if p.faults.Reorder {
		p.rng.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	}
	var answers []Answer
	for _, one := range asked {
		if end, ok := p.ending(); ok {
			return append(answers, end)
		}
		answers = answer(answers, one)
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

func (p *Peer) answerPart(answers []Answer, part sources.Part) []Answer {
	if p.hit(p.faults.Refuse) {
		return append(answers, Answer{Op: OpRefuse, Ordinal: part.Ordinal})
	}
	a := Answer{Op: OpParts, Ordinal: part.Ordinal, Spans: part.Spans}
	for _, s := range part.Spans {
		a.Data = append(a.Data, p.chunks.Data(part.Ordinal)[s.Off:s.Off+s.Len]...)
	}
	whole := len(a.Data)
	if a.Data = p.spoil(a.Data); len(a.Data) < whole {
		a.Spans = shorten(a.Spans)
	}
	answers = append(answers, a)
	if p.hit(p.faults.Duplicate) {
		answers = append(answers, a)
	}
	if p.hit(p.faults.Unasked) {
		a.Ordinal = p.rng.Uint64N(uint64(len(p.chunks.Wants)))
		answers = append(answers, a)
	}
	return answers
}

// shorten takes one byte off the end of spans.
func shorten(spans []sources.Span) []sources.Span {
	spans = append([]sources.Span(nil), spans...)
	last := len(spans) - 1
	if spans[last].Len--; spans[last].Len == 0 {
		spans = spans[:last]
	}
	return spans
}

func (p *Peer) answerFine(answers []Answer, ordinal uint64) []Answer {
	if p.hit(p.faults.Refuse) {
		return append(answers, Answer{Op: OpNoFine, Ordinal: ordinal})
	}
	a := Answer{Op: OpFine, Ordinal: ordinal, Fine: recipe.FineListOf(recipe.BLAKE3, p.chunks.Data(ordinal))}
	if p.hit(p.faults.Corrupt) {
		a.Fine.Entries[p.rng.IntN(len(a.Fine.Entries))].Sum[0] ^= 1
		a.Fine.Blocks[p.rng.IntN(len(a.Fine.Blocks))] ^= 1
	}
	return append(answers, a)
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

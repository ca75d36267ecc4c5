package trial

import (
	"time"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// publishing remembers how long publishers took, to tell how long the next run's
// will take. It is not safe for concurrent use.
type publishing struct {
	cells map[string]float64 // seconds of a cell at most
	peers map[string]float64 // seconds for each byte of the source at most
}

func newPublishing(earlier []result.Result) *publishing {
	p := &publishing{map[string]float64{}, map[string]float64{}}
	for _, r := range earlier {
		p.add(r)
	}
	return p
}

// add takes in a run.
func (p *publishing) add(r result.Result) {
	p.cells[r.Cell] = max(p.cells[r.Cell], r.Publishing)
	if r.Bytes >= leastBytes {
		p.peers[r.Peer] = max(p.peers[r.Peer], r.Publishing/float64(r.Bytes))
	}
}

// leastBytes is the size from which on publishing takes as long as the bytes need, not as programs need to start.
const leastBytes = 10e6

// of estimates a cell's: what the cell has taken or, the first time, what its peer
// would take at its slowest so far, a pair of releases apart, whose size is not
// known. Zero if nothing is known; publishBox at most.
func (p *publishing) of(c scenarios.Cell) time.Duration {
	seconds, known := p.cells[c.Name()]
	if !known {
		seconds = p.peers[c.Peer] * float64(c.Size.Total())
	}
	return min(time.Duration(seconds*float64(time.Second)), publishBox)
}

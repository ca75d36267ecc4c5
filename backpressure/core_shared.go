package backpressure

import "time"

// Beside a network that keeps all cores busy, a search takes the processor from it, and it from the search. Most comes
// when each byte comes the way that takes less of the processor. So both are counted: what a byte takes to hash,
// by what the hashing threads were given, and what a byte of the network takes of all cores, by what is left over.
// (Other programs count as the network's, which may be what feeds it.)

// Bounds of what a byte takes.
const (
	priorHash   = 2.5e-9  // seconds of one core to read, hash and write a byte, before any was
	dearer      = 1.2     // times as much as the network, the search may not take
	cheaper     = 1.5     // so many times less, and the network is left idle for it
	countDecay  = 0.8     // of what was counted before, with each window
	leastWindow = 1 << 20 // bytes from the network that tell something
	mostBad     = 3       // windows in a row in which less came than before end the search's being alone
	aloneAgain  = time.Second
)

// toll is what bytes took of the processor.
type toll struct{ seconds, bytes float64 }

func (t *toll) add(seconds, bytes float64) {
	t.seconds = countDecay*t.seconds + seconds
	t.bytes = countDecay*t.bytes + bytes
}

// perByte is 0 while it is not known.
func (t *toll) perByte() float64 {
	if t.bytes == 0 {
		return 0
	}
	return t.seconds / t.bytes
}

// Counts is what a transfer has come to, ever.
type Counts struct {
	Received int64 // bytes that the network brought
	Found    int64 // bytes that the disk brought
}

// shared is how the processor is shared by the search and the network.
type shared struct {
	network, hash toll
	spent         float64 // seconds of hashing in this window
	counted       Counts  // at its beginning
	alone         bool    // the search has the processor to itself
	rate          float64 // what the network brought before that
	bad           int     // windows in a row that brought less
	next          time.Time
}

// stop forgets the window, as nothing is known of the cores.
func (s *shared) stop() { s.alone, s.spent = false, 0 }

// hashed takes in what reading and hashing some bytes took of the processor.
func (s *shared) hashed(seconds float64, bytes int64) {
	s.spent += seconds
	if seconds > 0 && bytes > 0 {
		s.hash.add(seconds, float64(bytes))
	}
}

// hashing is what a byte takes to hash.
func (s *shared) hashing() float64 {
	if p := s.hash.perByte(); p > 0 {
		return p
	}
	return priorHash
}

// window ends a window of some seconds, in which all cores together were busy for as many as given. full: they are,
// with a fast network that brings rate bytes a second.
func (s *shared) window(now time.Time, took, busy float64, n Counts, full bool, rate float64) {
	received, found := n.Received-s.counted.Received, n.Found-s.counted.Found
	if received >= leastWindow {
		s.network.add(max(0, busy-s.spent), float64(received))
	}
	s.spent = max(0, s.spent-busy) // what is told at the end of a long slice belongs to several windows
	if !s.alone {
		s.alone = full && !now.Before(s.next) && found > 0 && cheaper*s.hashing() < s.network.perByte()
		s.rate, s.bad = rate, 0
		return
	}
	if s.bad++; float64(found+received)/took >= s.rate {
		s.bad = 0
	}
	if s.bad >= mostBad {
		s.alone, s.next = false, now.Add(aloneAgain)
	}
}

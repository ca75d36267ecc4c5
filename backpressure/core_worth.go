package backpressure

import "time"

// priorRate is the network's rate, in bytes a second, while it is unknown: that of a fast LAN, so that
// the first operations are those that pay anywhere.
const priorRate = 125e6

// Margins of Worth.
const (
	regain = 0.9 // after a refusal an operation must be this much cheaper than the network
	ahead  = 1.5 // an operation must end this many times before the network would come to its chunks
)

// Offer is a disk operation and the network it competes with.
type Offer struct {
	Cost   float64 // expected seconds
	Useful int64   // expected wanted bytes
	Units  int64   // bytes it reads; 0 if it reads none itself
	Queue  int64   // bytes the network will bring before it comes to these chunks
	Rate   float64 // the network's bytes a second; negative = unknown, 0 = no network
	Quiet  float64 // seconds in which the network can bring nothing
}

// Worth decides whether a disk operation is worth doing. The zero Worth is ready for use. It is not
// safe for concurrent use.
type Worth struct {
	refused bool
}

// Allow says whether the operation is worth it.
func (w *Worth) Allow(now time.Time, o Offer) Verdict {
	rate := o.Rate
	if rate < 0 {
		rate = priorRate
	}
	if rate == 0 || o.Cost < o.Quiet || w.cheaper(o, rate) || o.ends(rate) {
		w.refused = false
		return allowed
	}
	w.refused = true
	return refuse(now, ReasonNetwork, sampleWindow)
}

// cheaper compares the seconds for each useful byte.
func (w *Worth) cheaper(o Offer, rate float64) bool {
	network := float64(o.Useful) / rate
	if w.refused {
		network *= regain
	}
	return o.Cost < network
}

// ends tells whether the disk brings the chunks before the network comes to them. An operation of
// which little is useful has to be repeated for that, and counts as often.
func (o Offer) ends(rate float64) bool {
	if o.Rate < 0 || o.Useful <= 0 {
		return false
	}
	times := max(1, float64(o.Units)/float64(o.Useful))
	return o.Cost*times*ahead < float64(o.Queue)/rate
}

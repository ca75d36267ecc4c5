package costmodel

import "time"

// A device may stop answering: a server that is gone, a disk that fails. What is begun there is abandoned after a long time. So
// the plan expects nothing of a device on which an operation is late, and after one that was abandoned the device is left alone
// for a while. Then one operation tries it; each that is abandoned too makes the pause longer.

// Pauses after operations that were abandoned.
const (
	firstSilence = 10 * time.Second
	maxSilence   = 10 * time.Minute
	silentFor    = 3 // pauses in a row after which nothing is hoped for any more, though it is still tried
)

// silence is what is known of a device that does not answer.
type silence struct {
	stalls int       // operations in a row that were abandoned
	until  time.Time // when the next one may be tried
	late   int       // operations under way that are late
	full   bool      // they are as many as may be under way
}

// indexSilence is where the silence of the index's disk is kept, behind those of the devices.
const indexSilence = maxDevices

func (p *Planner) silenceOf(op Op) *silence {
	if op.Kind == OpCheck {
		return &p.silent[indexSilence]
	}
	return &p.silent[op.Dev.index()]
}

// Late tells that an operation under way takes far longer than it should. Nothing is expected of its device until OnTime.
func (p *Planner) Late(op Op) {
	p.silenceOf(op).late++
	p.plan.stale = true
}

// OnTime takes back what Late told, as the operation ends. It is called before Done, Cancel or Abandoned.
func (p *Planner) OnTime(op Op) {
	p.silenceOf(op).late--
	p.plan.stale = true
}

// SetFull tells whether so much is under way on a device that nothing more is to be begun there.
func (p *Planner) SetFull(dev Device, full bool) { p.silent[dev.index()].full = full }

// Abandoned tells that an operation that was started got no answer from its device, instead of Done. One that was not tried,
// as another one got none, may be tried later.
func (p *Planner) Abandoned(now time.Time, op Op, tried bool) {
	if !p.drop(op) {
		return
	}
	if !tried {
		p.requeue(op)
	}
	p.plan.stale = true
	s := p.silenceOf(op)
	if now.Before(s.until) {
		return // it was begun before the first one was abandoned
	}
	s.until = now.Add(min(firstSilence<<min(s.stalls, 10), maxSilence))
	s.stalls++
}

// answered takes in that an operation came to an end.
func (p *Planner) answered(op Op) {
	if s := p.silenceOf(op); s.stalls > 0 {
		s.stalls, s.until = 0, time.Time{}
	}
}

// shut says whether nothing is to be begun on a device.
func (p *Planner) shut(dev Device) bool {
	s := &p.silent[dev.index()]
	return s.full || s.stalls > 0 && (p.now.Before(s.until) || p.tries(dev))
}

// tries says whether an operation is under way on a device.
func (p *Planner) tries(dev Device) bool {
	for _, op := range p.running {
		if op.Kind != OpCheck && op.Dev.index() == dev.index() {
			return true
		}
	}
	return false
}

// indexShut says whether the index is not to be asked.
func (p *Planner) indexShut() bool {
	s := &p.silent[indexSilence]
	return s.stalls > 0 && p.now.Before(s.until)
}

// quiet says whether a device does not answer, so that nothing is expected of it.
func (p *Planner) quiet(dev Device) bool {
	s := &p.silent[dev.index()]
	return s.late > 0 || s.stalls > 0
}

// nextTry is when a device that did not answer, or the index, may be tried again. False if none has anything to do, or there is no
// hope for any.
func (p *Planner) nextTry() (at time.Time, ok bool) {
	consider := func(s *silence, waits bool) {
		if !waits || s.stalls == 0 || s.stalls > silentFor || !p.now.Before(s.until) {
			return
		}
		if !ok || s.until.Before(at) {
			at, ok = s.until, true
		}
	}
	for d := range p.devices {
		consider(&p.silent[d], p.live(Device(d)) > 0)
	}
	consider(&p.silent[indexSilence], p.check.ids > 0)
	return at, ok
}

// live is how many operations wait on a device.
func (p *Planner) live(dev Device) (n int) {
	for k := range opKinds {
		n += p.lane(k, dev).live
	}
	return n
}

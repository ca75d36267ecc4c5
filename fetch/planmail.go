package fetch

import "dfetch/recipe"

// mailBatch is how many events of the planner wait for each other, at most.
const mailBatch = 64

// planMail collects what the planner tells the core. What is planned is told together with what the search
// knows of it: else it would be asked of the network first. And many small files are looked up at one go.
type planMail struct {
	post   func(...Event)
	recall func([]recipe.ID) []Event // what the search knows of planned chunks; nil without one
	known  func([]Range) []Event     // what the search has learned of planned chunks already; with recall
	evs    []Event
	ids    []recipe.ID // planned in evs, and in the batch that is being filled
}

// note adds a chunk that an event to come will plan.
func (m *planMail) note(id recipe.ID) {
	if m.recall != nil {
		m.ids = append(m.ids, id)
	}
}

// add puts an event behind the others.
func (m *planMail) add(ev Event) {
	m.evs = append(m.evs, ev)
	if len(m.evs) >= mailBatch || len(m.ids) >= planBatch {
		m.send()
	}
}

// send tells the core what has been collected.
func (m *planMail) send() {
	if len(m.evs) == 0 {
		return
	}
	if len(m.ids) > 0 {
		m.evs = append(m.evs, m.recall(m.ids)...)
	}
	m.post(m.evs...)
	m.tellKnown()
	clear(m.evs)
	m.evs, m.ids = m.evs[:0], m.ids[:0]
}

// tellKnown tells what the search learned of chunks before the core knew them: it has not heard that.
func (m *planMail) tellKnown() {
	if m.recall == nil {
		return
	}
	var rs []Range
	for _, ev := range m.evs {
		if ev.Kind == EvPlanned {
			rs = append(rs, Range{First: ev.First, Count: uint32(len(ev.Lens))})
		}
	}
	m.post(m.known(rs)...)
}

package fetch

import "sort"

// numbers has the shell's numbers of what the cost model numbers from 0. Both count up, mostly together, so only where they
// cease to is noted.
type numbers struct {
	runs []numberRun
	n    uint32 // set[:n]
}

// numberRun is where a run of numbers begins: id has number, the next id the next number, and so on.
type numberRun struct{ id, number uint32 }

// set gives the next id, or one behind it, its number. Those that were passed over have none.
func (s *numbers) set(id, number uint32) {
	if n := len(s.runs); n == 0 || id != s.n || number-s.runs[n-1].number != id-s.runs[n-1].id {
		s.runs = append(s.runs, numberRun{id, number})
	}
	s.n = id + 1
}

// of is the number of an id that was set.
func (s *numbers) of(id uint32) uint32 {
	r := s.runs[sort.Search(len(s.runs), func(i int) bool { return s.runs[i].id > id })-1]
	return r.number + id - r.id
}

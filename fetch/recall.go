package fetch

import (
	"dfetch/diskscan"
	"dfetch/recipe"
)

// maxRemembered bounds the hashed chunks that are remembered for wants that come up later.
const maxRemembered = 256 << 10

// recall is what the core is to know of some chunks that lie in files that were hashed before.
func (s *searcher) recall(ids []recipe.ID) []Event {
	runs := s.disk.Recall(ids)
	if runs == nil {
		return nil
	}
	return []Event{s.numberRuns(EvRecalled, runs)}
}

func chunksOf(runs []diskscan.Run) (n int) {
	for _, r := range runs {
		n += len(r.Chunks)
	}
	return n
}

// post tells the loop what is to be read besides, and where missing chunks may have left something.
func (s *searcher) post(late Event, tr *trail) {
	if len(late.Runs) > 0 {
		s.loop.mail.post(late)
	}
	s.loop.mail.post(tr.events...)
}

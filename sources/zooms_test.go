package sources

import (
	"errors"
	"testing"

	"dfetch/recipe"
)

// answers counts how each ordinal was answered.
type answers struct {
	lists  map[uint64]int
	failed map[uint64]error
}

func newAnswers() *answers { return &answers{lists: map[uint64]int{}, failed: map[uint64]error{}} }

func (a *answers) answer(w Want, _ recipe.FineList, err error) {
	if err != nil {
		a.failed[w.Ordinal] = err
		return
	}
	a.lists[w.Ordinal]++
}

func TestZoomsAnswerOnceEach(t *testing.T) {
	var z Zooms
	a := newAnswers()
	wants := []Want{{Ordinal: 1, Len: 700}, {Ordinal: 2, Len: 700}, {Ordinal: 5, Len: 700}, {Ordinal: 6, Len: 9}}
	fresh, err := z.Ask(wants[:3], a.answer)
	if err != nil || len(fresh) != 2 || !z.Waiting() {
		t.Fatalf("Ask: %v, %v", fresh, err)
	}
	if fresh, _ = z.Ask(wants[1:], a.answer); len(fresh) != 1 || fresh[0] != (Range{6, 1}) {
		t.Fatalf("asked again: %v", fresh)
	}
	list := recipe.FineList{Entries: []recipe.FineEntry{{Len: 512}, {Len: 188}}}
	if err := errors.Join(z.Answer(2, list, nil), z.Answer(5, recipe.FineList{}, ErrChanged)); err != nil {
		t.Fatal(err)
	}
	if err := z.Answer(6, list, nil); !errors.Is(err, ErrProtocol) || !errors.Is(a.failed[6], ErrProtocol) {
		t.Errorf("a list of 700 bytes for 9: %v, %v", err, a.failed[6])
	}
	if err := z.Answer(2, list, nil); !errors.Is(err, ErrProtocol) {
		t.Errorf("a list that nobody waits for: %v", err)
	}
	z.End(ErrClosed)
	if a.lists[2] != 2 || len(a.lists) != 1 || !errors.Is(a.failed[5], ErrChanged) || !errors.Is(a.failed[1], ErrClosed) {
		t.Errorf("lists %v, failed %v", a.lists, a.failed)
	}
	if _, err := z.Ask(wants, a.answer); !errors.Is(err, ErrClosed) || z.Waiting() {
		t.Errorf("asked after the end: %v", err)
	}
}

package fetch

import (
	"testing"
	"time"
)

// TestSearchIsNotOverWhileFilesAreReviewed: files that were listed before anything was wanted of them are compared
// with the wants in steps. Until that is done, the search may still bring something.
func TestSearchIsNotOverWhileFilesAreReviewed(t *testing.T) {
	c := NewCore(CoreConfig{Search: true, NoPressure: true, SearchDepth: 1})
	now := time.Unix(1000, 0)
	hashed := map[uint32]bool{}
	next := func() {
		actions, _ := c.Next(now)
		for _, a := range actions {
			if a.Kind == ActHash {
				hashed[a.ID] = true
			}
		}
	}
	wanted := func(name string, first uint64) {
		c.Step(now, Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "dest"}, Name: name, Size: 50_000}})
		c.Step(now, Event{Kind: EvPlanned, First: first, Lens: []uint32{25_000, 25_000}, Group: uint32(first / 10)})
	}
	c.Step(now, Event{Kind: EvRoot, ID: 0, Root: []string{"home"}})
	wanted("a", 0)
	next()
	c.Step(now, Event{Kind: EvStated, ID: 0, Units: 2, Files: []DiskFile{{Name: "a", Size: 50_000}, {Name: "zz.iso", Size: 50_000}}, Seconds: 0.001})
	next()
	c.Step(now, Event{Kind: EvHashed, ID: 0, Seconds: 0.001, Units: 50_000, Found: 2, Failed: true})
	c.Step(now, Event{Kind: EvFound, Ranges: []Range{{0, 2}}})
	next()
	wanted("zz.iso", 10)
	c.Step(now, Event{Kind: EvPlanDone})
	next()
	for range 20 {
		if len(hashed) == 2 || !c.searching() {
			break
		}
		now = now.Add(10 * time.Millisecond)
		next()
	}
	if !c.searching() && !hashed[1] {
		t.Errorf("the search ended, hashed %v", hashed)
	}
}

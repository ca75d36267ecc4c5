package fetch

import (
	"fmt"
	"testing"
	"time"
)

// hungWorld is a world without a network. What is wanted lies in the last of some directories of a healthy disk; a likelier
// place on another one hangs, with so many directories.
func hungWorld(dirs int) *world {
	w := newWorld(1, CoreConfig{Search: true}, nil)
	w.addDisk(&simDisk{statCost: 1e-3, rate: 1e9})
	for i := range 20 {
		w.d.dirs = append(w.d.dirs, simDir{name: fmt.Sprintf("junk%d", i)})
		w.d.dirs[0].dirs = append(w.d.dirs[0].dirs, len(w.d.dirs)-1)
	}
	w.addFile(100, func() bool { return true })
	w.addHung(dirs)
	return w
}

// TestHungDisk: a mount that hangs is bounded; the search of the others goes on without it.
func TestHungDisk(t *testing.T) {
	var first time.Duration
	for _, dirs := range []int{3, 51, 1000} {
		w := hungWorld(dirs)
		took := w.runPlanned(time.Hour, w.lens)
		if err := w.unsettled(); err != nil || took > 3*time.Second {
			t.Errorf("%d directories hang: it took %v, %v", dirs, took, err)
		}
		if w.hung == 0 || w.hung > 2 {
			t.Errorf("%d operations hang", w.hung)
		}
		if first == 0 {
			first = took
		}
		if took > first+time.Millisecond {
			t.Errorf("%d directories that hang cost %v, three of them %v", dirs, took, first)
		}
	}
}

// TestHungDiskIsGivenUp: without what is wanted anywhere else the search ends, after a few tries.
func TestHungDiskIsGivenUp(t *testing.T) {
	w := hungWorld(51)
	for i := range w.d.dirs[1].files[0].holds {
		w.d.dirs[1].files[0].holds[i] = -1
	}
	w.runUntil(func() bool { return !w.core.searching() })
	if took := w.now.Sub(time.Unix(1000, 0)); took < time.Minute || took > 4*time.Minute || w.hung > 5 {
		t.Errorf("%d tries in %v", w.hung, took)
	}
}

// TestHungDiskComesBack: a disk that answers again is searched again.
func TestHungDiskComesBack(t *testing.T) {
	w := hungWorld(51)
	sub := &w.d.dirs[len(w.d.dirs)-2]
	sub.files, w.d.dirs[1].files = w.d.dirs[1].files, nil
	w.after(30*time.Second, func() {
		for i := range w.d.dirs {
			w.d.dirs[i].hangs = false
		}
	})
	took := w.runPlanned(time.Hour, w.lens)
	if err := w.unsettled(); err != nil || took > 2*time.Minute {
		t.Errorf("it took %v, %v", took, err)
	}
}

// TestHungDiskInSimulatedWorlds: a disk that hangs costs a world's transfer next to nothing beyond the time in which an
// operation is found to be late.
func TestHungDiskInSimulatedWorlds(t *testing.T) {
	for seed := range *worlds / 4 {
		var took [2]float64
		for i := range took {
			w, _ := diskWorld(*firstWorld+seed, CoreConfig{Search: true})
			if i == 1 {
				w.addHung(1 + int(seed)%60)
			}
			took[i] = w.runPlanned(24*time.Hour, w.lens).Seconds()
			if err := w.unsettled(); err != nil {
				t.Errorf("world %d: %v", *firstWorld+seed, err)
			}
		}
		if took[1] > 1.25*took[0]+2*lateAfter.Seconds() {
			t.Errorf("world %d: %.3f s beside a disk that hangs, %.3f s without it", *firstWorld+seed, took[1], took[0])
		}
	}
}

// TestOneReaderOnARotatingDisk: "one reader on a rotating disk, 4-16 on SSD", of a device that was measured; two before.
func TestOneReaderOnARotatingDisk(t *testing.T) {
	for _, tt := range []struct{ depth, limit, want int }{{0, 8, 2}, {1, 8, 1}, {4, 8, 4}, {16, 8, 8}, {4, 2, 2}} {
		w := newWorld(1, CoreConfig{Search: true, SearchDepth: tt.limit}, nil)
		w.addDisk(&simDisk{statCost: 1e-3, rate: 1e9})
		if tt.depth > 0 {
			w.core.Step(w.now, Event{Kind: EvDevice, Speed: &DeviceSpeed{Seek: 8e-3, PerByte: 1e-8, Depth: tt.depth}})
		}
		for range 30 {
			w.addFile(10, func() bool { return true })
		}
		most := 0
		w.runUntil(func() bool {
			batches := map[uint32]bool{}
			for _, r := range w.core.search.running {
				batches[r.batch] = true
			}
			most = max(most, len(batches))
			return w.core.Done()
		})
		if err := w.unsettled(); err != nil || most != tt.want {
			t.Errorf("%+v: %d at once, %v", tt, most, err)
		}
	}
}

// TestRotatingDiskIsReadInOrder: files of a rotating disk are read one after the other once it was measured, which takes it
// fewer seeks.
func TestRotatingDiskIsReadInOrder(t *testing.T) {
	var took [2]float64
	for i := range took {
		w := newWorld(1, CoreConfig{Search: true}, nil)
		w.addDisk(&simDisk{statCost: 8e-3, rate: 1e8, seek: 8e-3})
		for range 4 {
			w.addFile(6000, func() bool { return true })
		}
		if i == 1 {
			w.core.Step(w.now, Event{Kind: EvDevice, Speed: &DeviceSpeed{Seek: 8e-3, PerByte: 1e-8, Depth: 1}})
		}
		took[i] = w.runPlanned(time.Hour, w.lens).Seconds()
		if err := w.unsettled(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%.2f s by two readers, %.2f s by one", took[0], took[1])
	if took[1] > 0.95*took[0] {
		t.Errorf("%.2f s by two readers, %.2f s by one", took[0], took[1])
	}
}

// runUntil carries actions out until something is so, an hour at most.
func (w *world) runUntil(so func() bool) {
	w.core.Step(w.now, Event{Kind: EvPlanDone})
	for end := w.now.Add(time.Hour); w.now.Before(end); {
		actions, wake := w.next()
		if w.carryOut(actions); so() {
			return
		}
		w.advance(wake)
	}
}

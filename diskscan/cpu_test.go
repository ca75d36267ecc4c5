package diskscan

import (
	"path/filepath"
	"testing"
	"time"

	"dfetch/recipe"
)

// burn keeps the processor busy for a while of its thread's time.
func burn(d time.Duration) {
	for start := ThreadTime(); ThreadTime()-start < d; {
	}
}

// What the sink takes of the processor counts, for reads as for hashing: it writes what was found.
func TestProcessorTimeCountsTheSink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), noise("a", 100_000))
	scope := ScopeConfig{Roots: []string{dir}}
	x := openIndex(t, IndexConfig{})
	fill(t, x, scope, Config{})
	d := open(t, scope, Config{Index: x})
	const sink = 20 * time.Millisecond
	var ids []recipe.ID
	hashed, err := d.Hash(t.Context(), listAll(t, d)[0], HashState{}, anything, func(f *Found) {
		for _, c := range f.Chunks {
			ids = append(ids, c.ID)
		}
		f.Release()
		burn(sink)
	})
	if err != nil || hashed.CPU < sink {
		t.Errorf("hashing took %v of the processor, the sink %v of it: %v", hashed.CPU, sink, err)
	}
	var quiet, loud time.Duration
	for _, took := range []*time.Duration{&quiet, &loud} {
		for _, r := range check(t, d, ids).Runs {
			res, err := d.Read(t.Context(), r, nil, func(f *Found) {
				f.Release()
				if took == &loud {
					burn(sink)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			*took += res.CPU
		}
	}
	if quiet == 0 || loud < sink {
		t.Errorf("reading took %v of the processor, and %v with a sink that takes %v", quiet, loud, sink)
	}
}

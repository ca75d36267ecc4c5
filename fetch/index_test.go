package fetch

import (
	"testing"

	"dfetch/diskscan"
	"dfetch/recipe"
)

// TestIndexIsClosed: whoever waits for the index to be closed can open it anew, whether anybody used it or not.
func TestIndexIsClosed(t *testing.T) {
	dir := t.TempDir()
	diskscan.OpenIndex(diskscan.IndexConfig{Dir: dir}).Close()
	root := &recipe.Root{Profile: recipe.Rabin16, Hash: recipe.BLAKE3}
	for _, used := range []bool{true, false} {
		o := beginIndex(&SearchConfig{Index: dir}, root)
		if used && o.get().Mode() != diskscan.IndexShared {
			t.Errorf("opened %s: %v", o.get().Mode(), o.get().Note())
		}
		o.release()
		o.release()
		o.close()
		o.close()
	}
	for _, none := range []*openedIndex{
		beginIndex(&SearchConfig{Index: dir, Off: true}, root), beginIndex(&SearchConfig{Index: dir + "/none"}, root), beginIndex(&SearchConfig{}, root),
	} {
		if none.get() != nil {
			t.Error("there is no index to be used")
		}
		none.release()
		none.close()
	}
}

package fetch

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		if used {
			if x, err := o.get(t.Context()); err != nil || x.Mode() != diskscan.IndexShared {
				t.Errorf("opened %s: %v, %v", x.Mode(), x.Note(), err)
			}
		}
		o.release()
		o.release()
		if err := errors.Join(o.close(), o.close()); err != nil {
			t.Error(err)
		}
	}
	for _, none := range []*openedIndex{
		beginIndex(&SearchConfig{Index: dir, Off: true}, root), beginIndex(&SearchConfig{Index: dir + "/none"}, root), beginIndex(&SearchConfig{}, root),
	} {
		if x, err := none.get(t.Context()); x != nil || err != nil {
			t.Errorf("there is no index to be used: %v", err)
		}
		none.release()
		if err := none.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestIndexThatCantBeWritten: what is lost of it is said when it is closed.
func TestIndexThatCantBeWritten(t *testing.T) {
	dir := t.TempDir()
	o := beginOpen(diskscan.IndexConfig{Dir: dir}, diskscan.OpenIndex)
	x, err := o.get(t.Context())
	if err = errors.Join(err, x.AddRoot(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(x.RowsDir()); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("closed: %v", err)
	}
}

// TestSilentIndex: an index whose disk does not answer is waited for once, and not for ever.
func TestSilentIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		o := beginOpen(diskscan.IndexConfig{Dir: "/silent"}, func(diskscan.IndexConfig) *diskscan.Index {
			<-answer
			return diskscan.OpenIndex(diskscan.IndexConfig{})
		})
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := o.get(ctx); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if x, err := o.get(t.Context()); x != nil || !errors.Is(err, errIndexSilent) || !strings.Contains(err.Error(), "/silent") {
			t.Errorf("%v, want %v", err, errIndexSilent)
		}
		if err := o.close(); err != nil || time.Since(start) != time.Second+indexPatience {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		close(answer)
		<-o.closed // as soon as it answers, although nobody waits
	})
}

// TestIndexThatDoesNotClose: the wait for it ends, too.
func TestIndexThatDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &openedIndex{closed: make(chan struct{}), dir: "/silent"}
		o.once.Do(func() {}) // it is being closed
		start := time.Now()
		if err := o.close(); !errors.Is(err, errIndexSilent) || time.Since(start) != indexPatience {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

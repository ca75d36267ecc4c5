package fetch

import (
	"sync"

	"dfetch/diskscan"
	"dfetch/recipe"
)

// openedIndex is an index that is opened and closed while other things are done: both write files, and take some
// milliseconds. A nil one is no index.
type openedIndex struct {
	index          *diskscan.Index
	opened, closed chan struct{}
	once           sync.Once
}

// beginIndex begins to open the index, if there is one.
func beginIndex(cfg *SearchConfig, root *recipe.Root) *openedIndex {
	if !cfg.hasIndex() {
		return nil
	}
	o := &openedIndex{opened: make(chan struct{}), closed: make(chan struct{})}
	of := diskscan.IndexConfig{Dir: cfg.Index, Max: cfg.IndexMax, Profile: root.Profile, Hash: root.Hash}
	go func() {
		o.index = diskscan.OpenIndex(of)
		close(o.opened)
	}()
	return o
}

// get waits until the index is open.
func (o *openedIndex) get() *diskscan.Index {
	if o == nil {
		return nil
	}
	<-o.opened
	return o.index
}

// release begins to close the index, which nobody may use any more. It may be called twice.
func (o *openedIndex) release() {
	if o == nil {
		return
	}
	o.once.Do(func() {
		go func() {
			_ = o.get().Close() // what it could not write is looked up again another time
			close(o.closed)
		}()
	})
}

// close waits until the index is closed. It may be called twice.
func (o *openedIndex) close() {
	if o != nil {
		o.release()
		<-o.closed
	}
}

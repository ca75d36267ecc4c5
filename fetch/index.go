package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dfetch/diskscan"
	"dfetch/recipe"
)

// indexPatience is how long an index is waited for when it is opened, and when it is closed.
const indexPatience = 20 * time.Second

// errIndexSilent: the index lies on a disk that does not answer.
var errIndexSilent = errors.New("its disk does not answer; going on without it")

// openedIndex is an index that is opened and closed while other things are done: both write files, and take some
// milliseconds. A nil one is no index.
type openedIndex struct {
	index          *diskscan.Index
	opened, closed chan struct{}
	trouble        error // of an index that is closed
	once           sync.Once
	dir            string
	silent         bool // it was waited for in vain
}

// beginIndex begins to open the index, if there is one.
func beginIndex(cfg *SearchConfig, root *recipe.Root) *openedIndex {
	if !cfg.hasIndex() {
		return nil
	}
	of := diskscan.IndexConfig{Dir: cfg.Index, Max: cfg.IndexMax, Profile: root.Profile, Hash: root.Hash}
	return beginOpen(of, diskscan.OpenIndex)
}

func beginOpen(of diskscan.IndexConfig, open func(diskscan.IndexConfig) *diskscan.Index) *openedIndex {
	o := &openedIndex{opened: make(chan struct{}), closed: make(chan struct{}), dir: of.Dir}
	go func() {
		o.index = open(of)
		close(o.opened)
	}()
	return o
}

// get waits until the index is open, but not for ever. It is nil where there is none.
func (o *openedIndex) get(ctx context.Context) (*diskscan.Index, error) {
	if o == nil {
		return nil, nil
	}
	if err := o.await(ctx, o.opened); err != nil {
		return nil, err
	}
	return o.index, nil
}

// await waits for the index as long as it may take.
func (o *openedIndex) await(ctx context.Context, done <-chan struct{}) error {
	if inTime(ctx, done, indexPatience) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	o.silent = true
	return fmt.Errorf("index %s: %w", o.dir, errIndexSilent)
}

// release begins to close the index, which nobody may use any more. It may be called twice.
func (o *openedIndex) release() {
	if o == nil {
		return
	}
	o.once.Do(func() {
		go func() {
			<-o.opened
			o.trouble = errors.Join(o.index.Close(), o.index.Trouble()) // what it could not write is looked up again another time
			close(o.closed)
		}()
	})
}

// close waits until the index is closed, but not for ever, and says what went wrong with it. It may be called twice.
func (o *openedIndex) close() error {
	if o == nil {
		return nil
	}
	o.release()
	if o.silent {
		return nil // that has been said
	}
	if err := o.await(context.Background(), o.closed); err != nil {
		return err
	}
	return o.trouble
}

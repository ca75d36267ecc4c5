package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// Finish commits what is complete and makes the final pass: links, devices, fifos and symlinks, then
// deletes and the directories' own metadata, each directory after what is below it. Then the staging
// directory goes, unless something staged could not be put in place. A File that was neither completed
// nor given up by Fail counts as failed. The error is a *PartialError, a
// *MaxDeleteError or both if single entries failed; the Result counts in any case.
func (t *Tree) Finish(ctx context.Context) (Result, error) {
	if !t.end() {
		return t.result(), ErrClosed
	}
	defer t.close()
	err := t.sync.stop()
	if n := t.unended.Load(); n > 0 {
		t.failed.add(t.cfg.Dest, fmt.Errorf("%d files: %w", n, errIncomplete))
	}
	if err == nil {
		err = t.finalPass(ctx)
	}
	if err == nil {
		err = t.clear()
	}
	if err == nil {
		err = t.syncTouched()
	}
	return t.result(), t.verdict(err)
}

// verdict puts together how the run ended.
func (t *Tree) verdict(err error) error {
	if err != nil {
		return err
	}
	if n := t.count.skipped.Load(); n > 0 {
		err = &MaxDeleteError{Limit: t.cfg.MaxDelete, Skipped: n}
	}
	return errors.Join(t.failed.err(), err)
}

func (t *Tree) finalPass(ctx context.Context) error {
	if t.single {
		return nil
	}
	if t.late.Load() > 0 {
		if err := t.linkPass(ctx); err != nil {
			return err
		}
	}
	return t.dirPass(ctx)
}

// clear removes the staging directory, then gives the top directory its metadata: the removal changed
// its time.
func (t *Tree) clear() error {
	if t.journal.empty() {
		if err := t.stage.remove(); err != nil {
			t.note(t.stage.name, "staging directory could not be removed: "+err.Error())
		}
	} else if _, err := t.journal.flush(nil); err != nil {
		t.note(t.stage.name, "kept, but its journal could not be written: "+err.Error())
	} else {
		t.note(t.stage.name, "kept: it holds files that could not be put in place")
	}
	if t.single {
		t.touched.add(t.root)
		return nil
	}
	return t.finishDir(t.root, t.metaOf(&t.cfg.Root.Top))
}

// level is a directory of the recipe that the final pass is in.
type level struct {
	dir  *dirNode
	meta meta
	live []string // names at the destination, sorted by key; for deletes only
	keys []string
	kept []bool
}

// dirPass walks the recipe again. A directory is finished when the walk has left it.
func (t *Tree) dirPass(ctx context.Context) error {
	var stack []*level
	pop := func() error {
		l := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		return t.leaveDir(l)
	}
	err := t.cfg.walk(ctx, func(it recipe.Item) error {
		parent, name := splitPath(it.Path)
		for len(stack) > 0 && it.Path != "" && stack[len(stack)-1].dir.path != parent {
			if err := pop(); err != nil {
				return err
			}
		}
		if len(stack) > 0 {
			stack[len(stack)-1].keep(t.fold.key(name))
		}
		if it.Entry.Type != recipe.TypeDir {
			return nil
		}
		l := &level{dir: t.root, meta: t.metaOf(it.Entry)}
		if it.Path != "" {
			l.dir = t.child(stack[len(stack)-1].dir, name)
			l.dir.failed = stack[len(stack)-1].dir.failed || t.failed.has(it.Path)
		}
		stack = append(stack, l)
		return t.listLive(l)
	})
	for err == nil && len(stack) > 0 {
		err = pop()
	}
	return err
}

// listLive reads the names of a directory if surplus ones have to go.
func (t *Tree) listLive(l *level) error {
	if !t.cfg.Delete || l.dir.failed {
		return nil
	}
	fd, err := t.acquireDir(l.dir)
	if err != nil {
		return t.entryFailed("list", l.dir.path, err)
	}
	defer t.releaseDir(l.dir)
	if l.live, err = readNames(fd, ""); err != nil {
		return t.entryFailed("list", l.dir.path, err)
	}
	slices.SortFunc(l.live, func(a, b string) int { return strings.Compare(t.fold.key(a), t.fold.key(b)) })
	l.keys = l.live
	if t.fold.folds() {
		l.keys = make([]string, len(l.live))
		for i, name := range l.live {
			l.keys[i] = t.fold.key(name)
		}
	}
	l.kept = make([]bool, len(l.live))
	if l.dir.isTop() {
		l.keep(t.fold.key(stagingName(t.single, t.only)))
	}
	return nil
}

// keep marks a name as one of the recipe.
func (l *level) keep(key string) {
	i, ok := slices.BinarySearch(l.keys, key)
	for ; ok && i < len(l.keys) && l.keys[i] == key; i++ {
		l.kept[i] = true
	}
}

// leaveDir deletes what is surplus in a directory and gives it its metadata. The top directory's comes
// last of all.
func (t *Tree) leaveDir(l *level) error {
	if l.dir.failed {
		return nil
	}
	if err := t.deleteSurplus(l); err != nil || l.dir == t.root {
		return err
	}
	t.clearMount(l.dir)
	return t.finishDir(l.dir, l.meta)
}

func (t *Tree) deleteSurplus(l *level) error {
	if len(l.live) == 0 {
		return nil
	}
	fd, err := t.acquireDir(l.dir)
	if err != nil {
		return t.entryFailed("delete in", l.dir.path, err)
	}
	defer t.releaseDir(l.dir)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return t.entryFailed("delete in", l.dir.path, err)
	}
	for i, name := range l.live {
		if !l.kept[i] && t.deleteExtra(fd, name, joinPath(l.dir.path, name), st.Dev) {
			t.touched.add(l.dir)
		}
	}
	return t.fatalError()
}

// finishDir sets a directory's metadata where it differs.
func (t *Tree) finishDir(n *dirNode, m meta) error {
	fd, err := t.acquireDir(n)
	if err != nil {
		return t.entryFailed("open", n.path, err)
	}
	defer t.releaseDir(n)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return t.entryFailed("stat", n.path, err)
	}
	if t.mask < recipe.MaskFull && t.sameMeta(&st, m) {
		return nil
	}
	before := st.Ctim
	soft, hard := t.apply(fd, &st, m)
	if unix.Fstat(fd, &st) != nil || st.Ctim != before {
		t.touched.add(n)
	}
	return t.entryFailed("set metadata of", n.path, firstError(hard, soft))
}

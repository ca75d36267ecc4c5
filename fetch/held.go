package fetch

import (
	"sync"
	"sync/atomic"

	"dfetch/diskscan"
	"dfetch/tree"
)

// maxHashed bounds the files that are remembered as hashed. Further ones may be held in vain.
const maxHashed = 1 << 16

// held keeps live files readable for the search when the transfer replaces them: names that were swapped,
// files that moved. A file that was hashed to its end, after all was planned, is not held, and none is while
// the search is refused.
type held struct {
	tree    *tree.Tree  // nil in a rehearsal: nothing is replaced
	refused atomic.Bool // the network does better than the disk

	mu     sync.Mutex
	hashed map[tree.Inode]struct{}
}

// hold is a tree's Config.Hold.
func (h *held) hold(old tree.Old) bool {
	if h.refused.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, done := h.hashed[old.File]
	return !done
}

// wasHashed notes that a file has given all that it has.
func (h *held) wasHashed(dev, ino uint64) {
	file := tree.Inode{Dev: dev, Ino: ino}
	h.mu.Lock()
	if h.hashed == nil {
		h.hashed = make(map[tree.Inode]struct{})
	}
	if len(h.hashed) < maxHashed {
		h.hashed[file] = struct{}{}
	}
	h.mu.Unlock()
	if h.tree != nil {
		h.tree.LetGo(file)
	}
}

// HeldIn implements diskscan.Held.
func (h *held) HeldIn(dev, ino uint64) (files []diskscan.FileInfo, dirs []diskscan.HeldDir) {
	if h.tree == nil {
		return nil, nil
	}
	old, gone := h.tree.HeldIn(tree.Inode{Dev: dev, Ino: ino})
	for _, o := range old {
		files = append(files, diskscan.FileInfo{Name: o.Name, Size: o.Size, MTime: o.MTime, Ino: o.File.Ino})
	}
	for _, d := range gone {
		dirs = append(dirs, diskscan.HeldDir{Name: d.Name, Ino: d.File.Ino})
	}
	return files, dirs
}

// OpenHeld implements diskscan.Held.
func (h *held) OpenHeld(dev, ino uint64) (fd int, ok bool) {
	if h.tree == nil {
		return -1, false
	}
	return h.tree.OpenHeld(tree.Inode{Dev: dev, Ino: ino})
}

package recipe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// WriteFile writes a .dfr file: all nodes below root, each distinct one once, taken from nodes, or the
// root alone if nodes is nil. The file appears under its name when it is complete and on disk; until
// then, and after an error, what was there stays. What is there and no regular file is refused.
func WriteFile(ctx context.Context, path string, root *Root, nodes Nodes, as []Attachment) (err error) {
	if err := replaceable(path); err != nil {
		return err
	}
	tmp := path + ".tmp-" + rand.Text()[:8]
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp))
		}
	}()
	err = Write(ctx, f, root, nodes, as)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// replaceable refuses to put a file in the place of a device, a directory and the like.
func replaceable(path string) error {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return &os.PathError{Op: "replace", Path: path, Err: errors.New("not a regular file")}
	}
	return nil
}

// syncDir makes a rename last. The file is complete either way, so an error does not count.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// Write writes to w what WriteFile writes to a file. It remembers 24 bytes for each distinct node.
func Write(ctx context.Context, w io.Writer, root *Root, nodes Nodes, as []Attachment) error {
	raw, err := root.Encode()
	if err != nil {
		return err
	}
	attachments, err := EncodeAttachments(as)
	if err != nil {
		return err
	}
	fw := &fileWriter{ctx: ctx, w: bufio.NewWriterSize(w, 256<<10), nodes: nodes, mask: root.Mask, seen: map[[shortID]byte]int64{}}
	fw.write([]byte(fileMagic))
	fw.record(raw)
	if nodes != nil {
		if err := Children(KindRoot, raw, root.Mask, fw.visit); err != nil {
			return err
		}
	}
	fw.trailer(attachments)
	if fw.err != nil {
		return fw.err
	}
	return fw.w.Flush()
}

// fileWriter writes nodes in pre-order. Its first write error sticks.
type fileWriter struct {
	ctx   context.Context
	w     *bufio.Writer
	nodes Nodes
	mask  Mask
	off   int64
	depth int
	seen  map[[shortID]byte]int64
	err   error
}

func (w *fileWriter) write(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
		w.off += int64(len(b))
	}
}

func (w *fileWriter) record(raw []byte) {
	enc := EncodeNode(raw)
	head := binary.AppendUvarint(make([]byte, 0, 2*binary.MaxVarintLen64), uint64(len(raw)))
	w.write(binary.AppendUvarint(head, uint64(len(enc))))
	w.write(enc)
}

// maxNodeDepth bounds how deep nodes nest: each directory may be segmented up to maxLevel.
const maxNodeDepth = (MaxDepth + 2) * (maxLevel + 1)

// visit writes a node and those below it, unless they are written already.
func (w *fileWriter) visit(kind Kind, id ID) error {
	short := [shortID]byte(id[:])
	if _, ok := w.seen[short]; ok || w.err != nil {
		return w.err
	}
	raw, err := w.nodes.Node(w.ctx, kind, id)
	if err != nil {
		return err
	}
	if w.depth++; w.depth > maxNodeDepth {
		return over("depth of nodes", "", maxNodeDepth, w.depth)
	}
	w.seen[short] = w.off
	w.record(raw)
	err = Children(kind, raw, w.mask, w.visit)
	w.depth--
	return err
}

// trailer writes the attachments, the index and the footer.
func (w *fileWriter) trailer(attachments []byte) {
	index := make([]byte, 0, len(w.seen)*indexEntry)
	for _, id := range sortedIDs(w.seen) {
		index = binary.BigEndian.AppendUint64(append(index, id[:]...), uint64(w.seen[id]))
	}
	tail := slices.Concat(attachments, index)
	for _, n := range []int{int(w.off), len(attachments), int(w.off) + len(attachments), len(w.seen)} {
		tail = binary.BigEndian.AppendUint64(tail, uint64(n))
	}
	tail = binary.BigEndian.AppendUint64(tail, tailSum(tail))
	w.write(append(tail, endMagic...))
}

func sortedIDs(m map[[shortID]byte]int64) [][shortID]byte {
	ids := make([][shortID]byte, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [shortID]byte) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

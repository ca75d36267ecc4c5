package recipe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
)

// errStore says that the store itself failed, not what was to be stored.
var errStore = errors.New("recipe: store for nodes")

// nodeStore keeps the nodes of a recipe in the making in a file without a name, and 40 bytes
// a node in memory. Many goroutines may use it.
type nodeStore struct {
	hash Hash

	mu    sync.Mutex
	file  *os.File
	out   *bufio.Writer
	size  int64
	index map[ID]int64 // where a node's length and bytes lie
}

// newNodeStore makes a store in a directory; "" is the system's for temporary files. The file vanishes with the process.
func newNodeStore(dir string, h Hash) (*nodeStore, error) {
	f, err := os.CreateTemp(dir, ".dfetch-nodes-*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	return &nodeStore{hash: h, file: f, out: bufio.NewWriterSize(f, 256<<10), index: make(map[ID]int64)}, nil
}

func (s *nodeStore) Close() error { return s.file.Close() }

// put is a Put.
func (s *nodeStore) put(kind Kind, raw []byte) (ID, error) {
	id := s.hash.Node(kind, raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.index[id]; ok {
		return id, nil
	}
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(raw)))
	if _, err := s.out.Write(head[:]); err != nil {
		return ID{}, fmt.Errorf("%w: %w", errStore, err)
	}
	if _, err := s.out.Write(raw); err != nil {
		return ID{}, fmt.Errorf("%w: %w", errStore, err)
	}
	s.index[id] = s.size
	s.size += int64(len(head) + len(raw))
	return id, nil
}

// Node returns a node, or ErrNotFound.
func (s *nodeStore) Node(_ context.Context, kind Kind, id ID) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.index[id]
	if !ok {
		return nil, fmt.Errorf("%s node %s: %w", kind, id, ErrNotFound)
	}
	if err := s.out.Flush(); err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	var head [4]byte
	if _, err := s.file.ReadAt(head[:], at); err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	raw := make([]byte, binary.LittleEndian.Uint32(head[:]))
	if _, err := s.file.ReadAt(raw, at+int64(len(head))); err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	return raw, nil
}

package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dfetch/eval/scenarios"
)

// random is a sequence of bytes and numbers that depends on its name alone.
func random(name string) (*rand.ChaCha8, *rand.Rand) {
	h := fnv.New64a()
	h.Write([]byte(name)) // a hash takes everything
	var seed [32]byte
	for i, sum := 0, h.Sum64(); i < 32; i++ {
		seed[i] = byte(sum >> (i % 8 * 8))
	}
	c := rand.NewChaCha8(seed)
	return c, rand.New(c)
}

// writers are kept, since trees have a million files.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<20) }}

// create makes a file of its own folder, filled by fill, with this time.
func create(path string, t time.Time, fill func(w *bufio.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	w.Reset(f)
	err = fill(w)
	return errors.Join(err, w.Flush(), f.Close(), os.Chtimes(path, t, t))
}

func singleFile(path string, size int64, write func(string, int64) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if err := write(path, size); err != nil {
		return err
	}
	return os.Chtimes(path, sourceTime, sourceTime)
}

func writeRandom(path string, size int64) error {
	bytes, _ := random("file")
	return create(path, sourceTime, func(w *bufio.Writer) error { return copyRandom(w, bytes, size) })
}

func copyRandom(w io.Writer, bytes *rand.ChaCha8, n int64) error {
	_, err := io.CopyN(w, bytes, n)
	return err
}

// writeSparse writes a file of holes with 100 pieces of data, a hundredth of it.
func writeSparse(path string, size int64) error {
	bytes, _ := random("sparse")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	const pieces = 100
	length := size / 100 / pieces &^ 4095
	for i := range int64(pieces) {
		at := io.NewOffsetWriter(f, size/pieces*i&^4095)
		if err := copyRandom(at, bytes, length); err != nil {
			return err
		}
	}
	return f.Close()
}

// filesADir is how many files a generated tree has in each folder.
const filesADir = 100

func treeName(i int64) string {
	return filepath.Join(fmt.Sprintf("d%03d", i/filesADir), fmt.Sprintf("f%02d", i%filesADir))
}

func writeTree(dir string, size scenarios.Size) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	bytes, numbers := random("tree")
	for i := range size.Count {
		length := size.Bytes/2 + numbers.Int64N(size.Bytes+1)
		err := create(filepath.Join(dir, treeName(i)), sourceTime, func(w *bufio.Writer) error {
			return copyRandom(w, bytes, length)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

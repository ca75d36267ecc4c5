package costmodel

import "strings"

// pageBits is the size of a page of a table, as a power of two.
const pageBits = 10

// table is a growing array that never moves what it holds, so it wastes at most a page.
type table[T any] struct {
	pages [][]T
	n     int
}

func (t *table[T]) at(i uint32) *T { return &t.pages[i>>pageBits][i&(1<<pageBits-1)] }

func (t *table[T]) add(v T) uint32 {
	*t.next() = v
	t.n++
	return uint32(t.n - 1)
}

// next is the place of what is added next, for it to be made there: counting n up adds it.
func (t *table[T]) next() *T {
	if t.n>>pageBits == len(t.pages) {
		t.pages = append(t.pages, make([]T, 1<<pageBits))
	}
	return t.at(uint32(t.n))
}

// namePage is the size of a page of names.
const namePage = 64 << 10

// names stores short strings side by side.
type names struct {
	pages []*strings.Builder
}

// nameRef finds a string in names.
type nameRef struct {
	page uint32
	off  uint16
	len  uint16
}

func (s *names) add(text string) nameRef {
	text = text[:min(len(text), maxName)]
	last := len(s.pages) - 1
	if last < 0 || s.pages[last].Len()+len(text) > namePage {
		b := &strings.Builder{}
		b.Grow(namePage)
		s.pages = append(s.pages, b)
		last++
	}
	off := s.pages[last].Len()
	s.pages[last].WriteString(text)
	return nameRef{page: uint32(last), off: uint16(off), len: uint16(len(text))}
}

// maxName bounds the bytes of a name that are looked at.
const maxName = 255

func (s *names) get(r nameRef) string {
	return s.pages[r.page].String()[r.off : int(r.off)+int(r.len)]
}

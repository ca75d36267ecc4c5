package tree

import "slices"

// Extent is a range of a file.
type Extent struct{ Off, Len int64 }

func (e Extent) end() int64 { return e.Off + e.Len }

// extents is a set of bytes: sorted ranges that neither overlap nor touch.
type extents []Extent

// at is the index of the first range that ends at or after off.
func (s extents) at(off int64) int {
	i, _ := slices.BinarySearchFunc(s, off, func(e Extent, off int64) int {
		if e.end() < off {
			return -1
		}
		return 1
	})
	return i
}

// add puts a range in and gives the range that it is now part of.
func (s *extents) add(e Extent) Extent {
	if e.Len <= 0 {
		return e
	}
	i := s.at(e.Off)
	j := i
	for j < len(*s) && (*s)[j].Off <= e.end() {
		lo, hi := min(e.Off, (*s)[j].Off), max(e.end(), (*s)[j].end())
		e = Extent{lo, hi - lo}
		j++
	}
	*s = slices.Replace(*s, i, j, e)
	return e
}

// has tells whether all of e is in the set.
func (s extents) has(e Extent) bool {
	i := s.at(e.end())
	return i < len(s) && s[i].Off <= e.Off && e.end() <= s[i].end()
}

// without gives what of e is not in the set.
func (s extents) without(e Extent) extents {
	var out extents
	for i := s.at(e.Off); i < len(s) && s[i].Off < e.end(); i++ {
		if s[i].Off > e.Off {
			out = append(out, Extent{e.Off, s[i].Off - e.Off})
		}
		next := min(max(e.Off, s[i].end()), e.end())
		e = Extent{next, e.end() - next}
	}
	if e.Len > 0 {
		out = append(out, e)
	}
	return out
}

// bytes is the size of the set.
func (s extents) bytes() (n int64) {
	for _, e := range s {
		n += e.Len
	}
	return n
}

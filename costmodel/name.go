package costmodel

import "strings"

// Similarities of names.
const (
	sameName  = 1.0
	affixName = 0.7
	typeName  = 0.5
	otherName = 0.1
)

// minAffix is the shortest common prefix or suffix that counts.
const minAffix = 3

// parts is a file name with its stem and extension.
type parts struct {
	text string
	stem string // without leading dots and extension
	ext  string
}

// partsOf takes a file name apart. It keeps the string.
func partsOf(text string) parts {
	n := parts{text: text, stem: text}
	for n.stem != "" && n.stem[0] == '.' {
		n.stem = n.stem[1:]
	}
	if i := strings.LastIndexByte(n.stem, '.'); i > 0 {
		n.stem, n.ext = n.stem[:i], n.stem[i:]
	}
	return n
}

// Name is a file name with what comparing it needs. The zero Name is the empty name.
type Name struct {
	parts
	folded int    // bytes of the stem with runs of digits folded
	fold   uint64 // hash of the folded stem
	full   uint64 // hash of the text
	letter bool   // the stem has a letter
}

// NewName takes a file name apart. It keeps the string and allocates nothing.
func NewName(text string) Name { return partsOf(text).name() }

// name is the name that has the parts.
func (ps parts) name() Name {
	n := Name{parts: ps, full: hashString(ps.text)}
	f := folder{text: n.stem}
	n.fold = hashStart
	for c, ok := f.next(); ok; c, ok = f.next() {
		n.fold = hashByte(n.fold, c)
		n.folded++
		n.letter = n.letter || isLetter(c)
	}
	return n
}

// String is the whole name.
func (n Name) String() string { return n.text }

// NameSimilarity is pfs: 1 for the same name, 0.7 for a common beginning or end of the stem, 0.5 for
// the same extension, else 0.1. Names that differ in numbers only, as versions and dates do, count
// as a common beginning at least.
func NameSimilarity(a, b *Name) float64 {
	switch {
	case a.full == b.full && a.text == b.text:
		return sameName
	case a.fold == b.fold && a.folded == b.folded && a.letter:
		return affixName
	case affixMatch(a, b):
		return affixName
	case a.ext != "" && a.ext == b.ext:
		return typeName
	}
	return otherName
}

// similarityTo is NameSimilarity for a name of which only the parts are known. That suffices for most: their stems begin and
// end unlike.
func (n *Name) similarityTo(other *parts) float64 {
	switch {
	case n.text == other.text:
		return sameName
	case mayAgree(n.stem, other.stem):
		name := other.name()
		return NameSimilarity(n, &name)
	case n.ext != "" && n.ext == other.ext:
		return typeName
	}
	return otherName
}

// mayAgree says whether stems begin or end with the same folded byte: else no half of one is in the other.
func mayAgree(a, b string) bool {
	return a != "" && b != "" && (foldByte(a[0]) == foldByte(b[0]) || foldByte(a[len(a)-1]) == foldByte(b[len(b)-1]))
}

// affixMatch looks for a common prefix or suffix of at least half of the shorter stem.
func affixMatch(a, b *Name) bool {
	need := affixNeeded(min(a.folded, b.folded))
	if min(a.folded, b.folded) < need {
		return false
	}
	return commonPrefix(a.stem, b.stem, need) || commonSuffix(a.stem, b.stem, need)
}

// affixNeeded is how many folded bytes must agree with a stem of n.
func affixNeeded(n int) int { return max(minAffix, (n+1)/2) }

// commonPrefix tells whether the folded strings agree in their first need bytes.
func commonPrefix(a, b string, need int) bool {
	fa, fb := folder{text: a}, folder{text: b}
	for range need {
		x, okA := fa.next()
		y, okB := fb.next()
		if !okA || !okB || x != y {
			return false
		}
	}
	return true
}

// commonSuffix tells whether the folded strings agree in their last need bytes.
func commonSuffix(a, b string, need int) bool {
	ra, rb := backFolder{a}, backFolder{b}
	for range need {
		x, okA := ra.next()
		y, okB := rb.next()
		if !okA || !okB || x != y {
			return false
		}
	}
	return true
}

// digits stands for a run of digits in a folded name.
const digits = '0'

// folder reads a string with each run of digits as one byte and ASCII letters in lower case.
type folder struct {
	text string
	pos  int
}

func (f *folder) next() (byte, bool) {
	if f.pos >= len(f.text) {
		return 0, false
	}
	c := f.text[f.pos]
	f.pos++
	if !isDigit(c) {
		return lower(c), true
	}
	for f.pos < len(f.text) && isDigit(f.text[f.pos]) {
		f.pos++
	}
	return digits, true
}

// backFolder is a folder that reads from the end.
type backFolder struct{ rest string }

func (f *backFolder) next() (byte, bool) {
	if f.rest == "" {
		return 0, false
	}
	n := len(f.rest) - 1
	c := f.rest[n]
	if !isDigit(c) {
		f.rest = f.rest[:n]
		return lower(c), true
	}
	for n > 0 && isDigit(f.rest[n-1]) {
		n--
	}
	f.rest = f.rest[:n]
	return digits, true
}

// foldByte is a byte as a folder reads it.
func foldByte(c byte) byte {
	if isDigit(c) {
		return digits
	}
	return lower(c)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 0x80 }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// FNV-1a.
const (
	hashStart uint64 = 14695981039346656037
	hashPrime uint64 = 1099511628211
)

func hashByte(h uint64, c byte) uint64 { return (h ^ uint64(c)) * hashPrime }

func hashString(s string) uint64 {
	h := hashStart
	for i := range len(s) {
		h = hashByte(h, s[i])
	}
	return h
}

// mix joins two hashes; the order matters.
func mix(a, b uint64) uint64 {
	h := (a*hashPrime ^ b) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

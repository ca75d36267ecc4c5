package costmodel

// A source file is filed under these keys; a candidate looks under the same.
const (
	joinTail2  = iota // name and last two directories
	joinTail1         // name and last directory
	joinName          // stem and extension with numbers folded
	joinPrefix        // first half of the folded stem
	joinSize          // size in bytes
	joinKeys
)

// maxJoined bounds the source files that one key may bring up for a candidate.
const maxJoined = 8

// joinEntry is source i's entry under key k, at i·joinKeys+k. It is a link of the chain of its bucket.
type joinEntry struct {
	next uint32 // entry + 1
	tag  uint32 // of the key; 0 if it is in no chain
}

// joins finds source files by key. Entries are never removed.
type joins struct {
	buckets buckets // entry + 1
	linked  int
	entries table[joinEntry]
}

// add files the next source under its keys; a zero key is left out.
func (j *joins) add(keys *[joinKeys]uint64) {
	for k, key := range keys {
		e := joinEntry{tag: tagOf(k, key)}
		i := j.entries.add(e)
		if key != 0 {
			j.link(i)
		}
	}
}

// tagOf also chooses the bucket, so that growing needs no keys.
func tagOf(k int, key uint64) uint32 {
	if key == 0 {
		return 0
	}
	return uint32(mix(key, uint64(k))>>16) | 1
}

// link puts an entry into its chain, unless that has all that find returns of the key.
func (j *joins) link(i uint32) {
	if j.linked >= perBucket*j.buckets.heads.n {
		j.buckets.grow(j.after)
	}
	e := j.entries.at(i)
	head := j.head(e.tag)
	same := 0
	for at := *head; at != 0; {
		other := j.entries.at(at - 1)
		if other.tag == e.tag {
			if same++; same == maxJoined {
				e.tag = 0
				return
			}
		}
		at = other.next
	}
	e.next, *head = *head, i+1
	j.linked++
}

// head leaves the lowest bit out: it is always set.
func (j *joins) head(tag uint32) *uint32 { return j.buckets.of(tag >> 1) }

func (j *joins) after(element uint32) (next *uint32, hash uint32) {
	e := j.entries.at(element - 1)
	return &e.next, e.tag >> 1
}

// find appends the sources under key k to found, at most maxJoined of them.
func (j *joins) find(found []uint32, k int, key uint64) []uint32 {
	if j.linked == 0 || key == 0 {
		return found
	}
	tag, left := tagOf(k, key), maxJoined
	for i := *j.head(tag); i != 0 && left > 0 && len(found) < cap(found); {
		e := j.entries.at(i - 1)
		if e.tag == tag && (i-1)%joinKeys == uint32(k) {
			found = append(found, (i-1)/joinKeys)
			left--
		}
		i = e.next
	}
	return found
}

// sourceKeys are the keys of a file in a directory given by its comps. All but joinPrefix are the
// same for source and candidate.
func sourceKeys(n *Name, dirs []uint64, size int64) (keys [joinKeys]uint64) {
	keys[joinName] = mix(n.fold, hashString(n.ext)) | 1
	if len(dirs) > 0 {
		keys[joinTail1] = mix(n.full, dirs[len(dirs)-1]) | 1
	}
	if len(dirs) > 1 {
		keys[joinTail2] = mix(keys[joinTail1], dirs[len(dirs)-2]) | 1
	}
	if size > 0 {
		keys[joinSize] = uint64(size)
	}
	if n.folded >= minAffix {
		h, f := hashStart, folder{text: n.stem}
		for range affixNeeded(n.folded) {
			c, _ := f.next()
			h = hashByte(h, c)
		}
		keys[joinPrefix] = h | 1
	}
	return keys
}

// maxPrefix bounds the folded bytes of a candidate's name under whose prefixes sources are looked up.
const maxPrefix = 40

// findPrefixes appends the sources of which half the stem begins the candidate's.
func (j *joins) findPrefixes(found []uint32, n *Name) []uint32 {
	h, f := hashStart, folder{text: n.stem}
	for i := range min(n.folded, maxPrefix) {
		c, _ := f.next()
		h = hashByte(h, c)
		if i+1 >= minAffix {
			found = j.find(found, joinPrefix, h|1)
		}
	}
	return found
}

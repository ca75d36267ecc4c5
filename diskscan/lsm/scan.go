package lsm

import (
	"bytes"
	"slices"
)

// Scan calls fn for all rows whose keys begin so, in the order of their keys, as they were at one moment. Key and value are valid
// during the call. Rows of damaged blocks are missing, which is an error after all others were given; an error
// of fn ends the scan.
func (db *DB) Scan(prefix []byte, fn func(key, value []byte) error) error {
	db.mu.RLock()
	sources := []source{newListed(db.fresh, prefix)}
	tables := db.use()
	db.mu.RUnlock()
	defer dropAll(tables)
	var read []*reading
	for i := len(tables) - 1; i >= 0; i-- {
		read = append(read, &reading{c: tables[i].cursor(), from: prefix})
		sources = append(sources, read[len(read)-1])
	}
	m, err := newMerged(sources)
	if err != nil {
		return err
	}
	for {
		r, err := m.next()
		if err != nil {
			return err
		}
		if r == nil || !bytes.HasPrefix(r.key, prefix) {
			break
		}
		if r.gone {
			continue
		}
		if err := fn(r.key, r.value); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(read, func(r *reading) bool { return r.damaged }) {
		return ErrDamaged
	}
	return nil
}

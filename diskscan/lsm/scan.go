package lsm

import "bytes"

// Scan calls fn for all rows whose keys begin so, in the order of their keys, as they were at one moment. Key and value are valid
// during the call. Rows of damaged blocks are missing, which is an error after all others were given; an error
// of fn ends the scan.
func (db *DB) Scan(prefix []byte, fn func(key, value []byte) error) error {
	db.mu.RLock()
	sources := []source{newListed(db.fresh, prefix)}
	tables := db.use()
	db.mu.RUnlock()
	defer dropAll(tables)
	damaged := false
	for i := len(tables) - 1; i >= 0; i-- {
		sources = append(sources, &reading{c: tables[i].cursor(), from: prefix, damaged: &damaged})
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
	if damaged {
		return ErrDamaged
	}
	return nil
}

package recipe

import (
	"errors"
	"fmt"
)

// ErrNotFound says that a node, or a path, is not there.
var ErrNotFound = errors.New("not found")

// LimitError says that a recipe is over one of the format's limits.
type LimitError struct {
	What  string // the limit: "name", "path", "node", …
	Entry string // the entry or node it was met at; may be empty
	Limit uint64
	Got   uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("recipe: %s is %d%s, over the limit of %d", e.What, e.Got, at(e.Entry), e.Limit)
}

// FormatError says that bytes, or an entry to be encoded, are not what the format allows.
type FormatError struct {
	What  string // what is wrong
	Entry string // the entry or node it was met at; may be empty
	Err   error  // the cause; may be nil
}

func (e *FormatError) Error() string {
	s := "recipe: " + e.What + at(e.Entry)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *FormatError) Unwrap() error { return e.Err }

// maxShown is how much of the end of a long path an error shows.
const maxShown = 160

func at(entry string) string {
	if entry == "" {
		return ""
	}
	if len(entry) > maxShown {
		entry = "…" + entry[len(entry)-maxShown:]
	}
	return fmt.Sprintf(" at %q", entry)
}

func over(what, entry string, limit, got int) error {
	return &LimitError{What: what, Entry: entry, Limit: uint64(limit), Got: uint64(got)}
}

func bad(entry, format string, args ...any) error {
	return &FormatError{What: fmt.Sprintf(format, args...), Entry: entry}
}

// locate puts the directory in front of the name that a decoder put into its error.
func locate(err error, dir string) error {
	var le *LimitError
	var fe *FormatError
	switch {
	case dir == "":
	case errors.As(err, &le):
		le.Entry = join(dir, le.Entry)
	case errors.As(err, &fe):
		fe.Entry = join(dir, fe.Entry)
	}
	return err
}

func join(dir, name string) string {
	switch {
	case dir == "":
		return name
	case name == "":
		return dir
	}
	return dir + "/" + name
}

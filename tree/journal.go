package tree

// journal is what survives a crash.
type journal struct{}

func openJournal(s *staging, cfg Config) (*journal, error) { return &journal{}, nil }
func (j *journal) close()                                  {}
func (j *journal) empty() bool                             { return true }
func (j *journal) forget(f *File)                          {}
func (j *journal) verified(f *File, e Extent) error        { return nil }
func (j *journal) whole(f *File, fd int) error             { return nil }
func (j *journal) resume(f *File) bool                     { return false }

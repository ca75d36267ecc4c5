package diskscan

// Reader is how the content of open files is read: by system calls, or by what a measurement puts in their place. Its
// methods are called from several goroutines.
type Reader interface {
	// Fetch says that a range is about to be read, so that the disk can read it at one go. It does not wait. inOrder: from
	// its start to its end, by a descriptor whose reads the kernel runs ahead of.
	Fetch(fd int, off, end int64, inOrder bool)
	// ReadAt fills p from off. It returns how much it got, and io.EOF at the end of the file.
	ReadAt(fd int, p []byte, off int64) (int, error)
}

// kernel reads by system calls.
type kernel struct{}

// Fetch implements Reader.
func (kernel) Fetch(fd int, off, end int64, inOrder bool) {
	if !inOrder {
		fetch(fd, off, end)
	}
}

// ReadAt implements Reader.
func (kernel) ReadAt(fd int, p []byte, off int64) (int, error) { return preadFull(fd, p, off) }

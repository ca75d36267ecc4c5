package diskscan

import "dfetch/recipe"

// Found is a run of wanted chunks from one file, hashed in the buffer that holds them.
type Found struct {
	File   File
	Chunks []Chunk // by offset; not necessarily neighbours in the file
	Data   []byte  // their bytes, one after the other, in the order of Chunks
	// Indexed: the index named the chunks; else they were found by hashing the file.
	Indexed bool
	// Version is what was read, by hashing from the file's start on in the operation that found this, or as all of a file that
	// was remembered; else nil.
	Version *Version
	// Kept is for the sink to say that it has given the file other metadata: it has not changed by that.
	Kept bool

	buf   []byte
	pool  *buffers
	timed bool // see meter
}

// Release gives the buffer back. It must be called once; Data may not be used afterwards.
func (f *Found) Release() {
	f.pool.put(f.buf)
	f.Data, f.buf = nil, nil
}

// batchBytes is how much is handed over at once, if there is so much.
const batchBytes = 256 << 10

// batchSize is the size of a buffer: any chunk of the profile fits.
func batchSize(p recipe.Profile) int64 { return max(batchBytes, int64(p.Max)) }

// tally is what was handed over.
type tally struct {
	chunks int
	bytes  int64
}

// handOver gives what was found to the caller of an operation, or back if it has gone on.
func (d *Disk) handOver(o *operation, sink Sink, f *Found, sum *tally) error {
	n, size := len(f.Chunks), int64(len(f.Data))
	told := false
	err := o.tell(func() {
		told = true
		sink(f)
	})
	if !told {
		f.Release()
		return err
	}
	sum.chunks += n
	sum.bytes += size
	d.count.found.Add(int64(n))
	d.count.foundBytes.Add(size)
	return err
}

// batch collects chunks of one file until they are handed over.
type batch struct {
	d     *Disk
	o     *operation
	file  File
	sink  Sink
	next  *Found
	found tally

	version *Version
	kept    bool
}

// add copies a chunk into the batch. Data may be reused afterwards.
func (b *batch) add(c Chunk, data []byte) error {
	if b.next != nil && len(b.next.Data)+len(data) > cap(b.next.buf) {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if b.next == nil {
		buf, err := b.d.buffers.get(b.o)
		if err != nil {
			return err
		}
		b.next = &Found{File: b.file, Version: b.version, Data: buf, buf: buf, pool: &b.d.buffers}
	}
	b.next.Chunks = append(b.next.Chunks, c)
	b.next.Data = append(b.next.Data, data...)
	return nil
}

// flush hands over what was collected.
func (b *batch) flush() error {
	f := b.next
	if f == nil {
		return nil
	}
	b.next = nil
	return b.d.handOver(b.o, func(f *Found) {
		b.sink(f)
		b.kept = b.kept || f.Kept
	}, f, &b.found)
}

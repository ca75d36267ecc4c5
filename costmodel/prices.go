package costmodel

// prices are what operations on a device cost at present. They are asked for with each file that is seen, and change only
// when the device was measured or something else is wanted.
type prices struct {
	of    basis
	read  Rate    // of reading and hashing
	slice int64   // bytes of a file that are hashed at a time; see sliceLen
	stat  float64 // seconds for a STAT
	hash  float64 // seconds to read and hash a chunk of a wanted file
	chunk float64 // bytes of a wanted chunk, in the mean
}

// basis is what a device's prices follow from.
type basis struct {
	news          uint64 // of the device's costs; the zero basis is that of no device
	sources       int
	chunks, bytes int64 // wanted
}

// prices returns a device's present prices.
func (p *Planner) prices(dev Device) *prices {
	i := dev.index()
	pr, of := &p.priced[i], basis{p.costs.devices[i].news, p.groups.sources.n, p.groups.chunks, p.groups.bytes}
	if pr.of != of {
		*pr = p.price(dev, of)
	}
	return pr
}

func (p *Planner) price(dev Device, of basis) prices {
	read, chunk := p.costs.Read(dev), p.groups.chunkLen()
	return prices{
		of: of, read: read, slice: p.sliceLen(read), stat: p.costs.Stat(dev), hash: p.chunkHash(read, chunk), chunk: chunk,
	}
}

// sliceLen is how much of a file is hashed at a time: Config.Slice, but on a slow device what takes
// Config.SliceTime, so that what else the disk is needed for does not wait longer.
func (p *Planner) sliceLen(read Rate) int64 {
	if perByte := read.PerUnit; perByte*float64(p.cfg.Slice) > p.cfg.SliceTime {
		return max(min(minSlice, p.cfg.Slice), int64(p.cfg.SliceTime/perByte))
	}
	return p.cfg.Slice
}

// minSlice bounds slices on a slow device from below.
const minSlice = 512 << 10

// chunkHash is what reading and hashing costs for each chunk of a wanted file.
func (p *Planner) chunkHash(read Rate, chunk float64) float64 {
	each := max(1, float64(p.groups.chunks)/float64(max(1, p.groups.sources.n)))
	return read.PerUnit*chunk + read.PerOp/each
}

// slices is in how many operations so many bytes are hashed.
func (pr *prices) slices(bytes int64) float64 {
	switch {
	case bytes <= 0:
		return 0
	case bytes <= pr.slice:
		return 1 // most files, without a division
	}
	return float64((bytes-1)/pr.slice + 1)
}

// hashing is what hashing so many bytes of a file takes, in seconds.
func (pr *prices) hashing(bytes int64) float64 {
	return pr.read.PerOp*pr.slices(bytes) + pr.read.PerUnit*float64(bytes)
}

package costmodel

import "math"

// alpha is the weight of a new measurement. The first few of a device weigh more, as what stands against
// them is a guess.
const alpha = 0.2

// weight is that of the measurement after n others.
func weight(n uint8) float64 { return max(alpha, 1/float64(n+2)) }

// manyMeasurements are enough for a new one to weigh alpha.
const manyMeasurements = 8

// maxDevices bounds the devices whose costs are kept apart; others share the last place.
const maxDevices = 16

// chunkBytes is the mean length of a chunk, for when none is known.
const chunkBytes = 16 << 10

// Device numbers a device of the disk, 0 … 15; higher numbers share the last.
type Device uint8

func (d Device) index() int { return min(int(d), maxDevices-1) }

// Residency says where the bytes of an operation came from.
type Residency uint8

// Residencies.
const (
	Cold   Residency = iota // from the device
	Cached                  // from memory
)

// Rate is a cost in seconds: so much for each operation and so much for each byte (for a STAT,
// each entry; for a CACHE-CHECK, each id).
type Rate struct {
	PerOp   float64
	PerUnit float64
}

// Seconds predicts what an operation over units costs.
func (r Rate) Seconds(units float64) float64 { return r.PerOp + r.PerUnit*units }

// observe moves the rate toward a measurement, by weight. The part of the rate that makes up most of the
// prediction moves most, so small operations teach PerOp and large ones PerUnit.
func (r *Rate) observe(units, seconds, weight float64) {
	predicted := r.Seconds(units)
	if units < 0 || !(predicted > 0) || !(seconds >= 0) || math.IsInf(seconds, 0) {
		return
	}
	off := min(seconds/predicted, maxJump) - 1
	share := r.PerOp / predicted
	r.PerOp = min(r.PerOp*(1+weight*share*off), maxPerOp)
	r.PerUnit = min(r.PerUnit*(1+weight*(1-share)*off), maxPerUnit)
}

// teaching is how many bytes a read must have to say anything of what a byte costs.
const teaching = 16 << 10

// observeOp is observe for an operation that is too small to tell what a unit costs.
func (r *Rate) observeOp(units, seconds, weight float64) {
	predicted := r.Seconds(units)
	if units < 0 || !(predicted > 0) || !(seconds >= 0) || math.IsInf(seconds, 0) {
		return
	}
	rest := min(seconds, maxJump*predicted) - r.PerUnit*units
	r.PerOp = min(max(r.PerOp+weight*(rest-r.PerOp), leastOf*r.PerOp), maxPerOp)
}

// leastOf is the part of an operation's cost that one measurement leaves at least.
const leastOf = 0.8

// maxPerOp and maxPerUnit, in seconds, keep a disk that hangs from becoming infinitely dear.
const (
	maxPerOp   = 3600
	maxPerUnit = 3600
)

// maxJump bounds how far above the prediction one measurement counts. An operation of microseconds that once waited
// milliseconds for a processor must not make its kind seem dear; a disk that is slow from now on says so each time.
const maxJump = 4

// maxRatio bounds how far one STAT may move the weight of STATs.
const maxRatio = 50

// deviceCosts are the rates of one device. The kernel tells of a file's bytes whether they are in memory, and nothing of the kind of
// directories, so a STAT has one rate.
type deviceCosts struct {
	stat  Rate
	read  [2]Rate  // reading and hashing, by residency
	cold  float64  // share of reads that went to the device
	stats uint8    // measurements of stat, up to manyMeasurements
	reads [2]uint8 // and of read
	news  uint64   // counts the changes; never 0
}

// Costs predicts the time of disk operations. It is fed with measurements; each moves the prediction
// by a fifth, the first few by more. The zero Costs is not usable; see NewCosts.
type Costs struct {
	devices [maxDevices]deviceCosts
	check   Rate
	checks  uint8 // measurements of check, up to manyMeasurements
}

// NewCosts starts with the costs of a middling SSD. Looking an id up means to read its row, and to look at the file that
// the row names.
func NewCosts() *Costs {
	c := &Costs{check: Rate{PerOp: 1e-3, PerUnit: 40e-6}}
	for i := range c.devices {
		c.devices[i] = deviceCosts{
			stat: Rate{300e-6, 5e-6},
			read: [2]Rate{{300e-6, 1 / 400e6}, {20e-6, 1 / 800e6}},
			cold: 1,
			news: 1,
		}
	}
	return c
}

// Measured sets what is read from a device to the cost of a trial read: so many seconds for a small one at a distant place, and so
// many for each byte of a long one. Listing a directory takes such a small read too, and hashing a byte takes as long as if it were
// in memory at least. What operations have taught already stays.
func (c *Costs) Measured(dev Device, seek, perByte float64) {
	d := &c.devices[dev.index()]
	if !(seek > 0) || !(perByte > 0) || math.IsInf(seek+perByte, 0) {
		return
	}
	if d.stats < manyMeasurements {
		d.stat.PerOp = min(max(seek, d.read[Cached].PerOp), maxPerOp)
	}
	if d.reads[Cold] < manyMeasurements {
		d.read[Cold] = Rate{PerOp: min(max(seek, d.read[Cached].PerOp), maxPerOp), PerUnit: min(max(perByte, d.read[Cached].PerUnit), maxPerUnit)}
	}
	d.news++
}

// ObserveStat takes in a finished STAT of a directory with so many entries.
func (c *Costs) ObserveStat(dev Device, entries int, seconds float64) {
	d := &c.devices[dev.index()]
	d.stat.observe(float64(entries), seconds, weighNext(&d.stats))
	d.news++
}

// ObserveRead takes in a finished read and hash of so many bytes.
func (c *Costs) ObserveRead(dev Device, res Residency, bytes int64, seconds float64) {
	d := &c.devices[dev.index()]
	r, w := &d.read[res&1], weighNext(&d.reads[res&1])
	if bytes < teaching {
		r.observeOp(float64(bytes), seconds, w)
	} else {
		r.observe(float64(bytes), seconds, w)
	}
	saw := 0.0
	if res == Cold {
		saw = 1
	}
	d.cold += alpha * (saw - d.cold)
	d.news++
}

// ObserveCheck takes in a finished sweep of so many ids through the index.
func (c *Costs) ObserveCheck(ids int, seconds float64) {
	c.check.observe(float64(ids), seconds, weight(c.checks))
	c.checks = min(c.checks+1, manyMeasurements)
}

// weighNext is the weight of the measurement after n others, and counts it.
func weighNext(n *uint8) float64 {
	w := weight(*n)
	*n = min(*n+1, manyMeasurements)
	return w
}

// Stat is the expected time of a STAT of a directory of a usual size.
func (c *Costs) Stat(dev Device) float64 { return c.devices[dev.index()].stat.Seconds(usualEntries) }

// usualEntries is how many entries a directory has that nothing is known of.
const usualEntries = 12

// Read is the expected cost of reading and hashing, weighted by how often reads met the cache.
func (c *Costs) Read(dev Device) Rate {
	d := &c.devices[dev.index()]
	return blend(d.cold, d.read[Cold], d.read[Cached])
}

// Check is the expected time of a sweep of so many ids through the index.
func (c *Costs) Check(ids int) float64 { return c.check.Seconds(float64(ids)) }

func blend(cold float64, a, b Rate) Rate {
	return Rate{
		PerOp:   cold*a.PerOp + (1-cold)*b.PerOp,
		PerUnit: cold*a.PerUnit + (1-cold)*b.PerUnit,
	}
}

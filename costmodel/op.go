package costmodel

// DirID numbers the directories of a Planner from 0, FileID its files, RunID its runs.
type (
	DirID  uint32
	FileID uint32
	RunID  uint32
)

// OpKind is a kind of disk operation.
type OpKind uint8

// Kinds of operations. For equal worth the first in this list goes first.
const (
	OpRead  OpKind = iota // read a run of indexed chunks
	OpCheck               // look ids up in the index
	OpHash                // read and hash a slice of a file
	OpStat                // list a directory
	opKinds
)

// String is the name that the documentation gives the operation.
func (k OpKind) String() string {
	return [...]string{"CACHE-READ", "CACHE-CHECK", "HASH", "STAT", "?"}[min(k, opKinds)]
}

// Op is a disk operation with what it is thought to cost and bring.
type Op struct {
	Kind   OpKind
	Dev    Device
	ID     uint32  // DirID, FileID or RunID; 0 for OpCheck
	Offset int64   // OpHash: where the slice begins
	Len    int64   // OpHash: bytes of the slice; OpRead: of the run; OpCheck: ids
	Cost   float64 // expected seconds
	Useful int64   // expected wanted bytes; for OpStat and OpCheck those of the reads that follow, in proportion
	CPC    float64 // expected seconds for each wanted chunk
}

// PerByte is the cost in seconds of a wanted byte.
func (o Op) PerByte() float64 { return o.Cost / float64(max(1, o.Useful)) }

// Result is how an operation ended.
type Result struct {
	Seconds   float64
	Units     int64     // bytes read (holes are not), entries listed or ids looked up
	Found     int       // wanted chunks found; OpCheck: ids found
	Late      int       // OpHash: chunks found that have come another way
	Residency Residency // of what was read; a STAT has none
	Failed    bool      // it can't be read any further; it is not tried again
}

// Order is the order of disk operations.
type Order uint8

// Orders. The others are there to compare with.
const (
	ByCPC    Order = iota // lowest cost for each expected chunk first
	BFS                   // from the destination outwards, each directory's files before the next
	AllStats              // all directories first, then files by cost for each expected chunk
)

// Config sets limits and ways. Zero values mean the defaults.
type Config struct {
	Order      Order
	Slice      int64   // bytes of a file that are hashed in one operation, at most; 0 = 8 MiB
	SliceTime  float64 // seconds that this should take at most, while it is not less than 512 KiB; 0 = 0.25
	MaxDirs    int     // directories that are kept; 0 = 512 Ki
	MaxFiles   int     // files that are kept; 0 = 1 Mi. The last quarter is for files like a wanted one
	MaxSources int     // wanted files that are told apart; 0 = 1 Mi
	MaxRuns    int     // runs that are kept; 0 = 256 Ki
	PlanOps    int     // operations that a plan looks ahead; 0 = 2048
	MinW, MaxW float64 // bounds of the learned weight of STATs; 0 = 0.5 and 2
}

func (c Config) withDefaults() Config {
	ints := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	ints(&c.MaxDirs, 512<<10)
	ints(&c.MaxFiles, 1<<20)
	ints(&c.MaxSources, 1<<20)
	ints(&c.MaxRuns, 256<<10)
	ints(&c.PlanOps, 2048)
	if c.Slice <= 0 {
		c.Slice = 8 << 20
	}
	if c.SliceTime <= 0 {
		c.SliceTime = 0.25
	}
	if c.MinW <= 0 {
		c.MinW = 0.5
	}
	if c.MaxW <= 0 {
		c.MaxW = 2
	}
	return c
}

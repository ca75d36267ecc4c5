package recipe

// ID is the 256-bit hash that names a chunk or a node. The zero ID names nothing.
type ID [32]byte

// Hash says which function makes the ids of a recipe.
type Hash uint8

// Hash functions of the format. Their numbers are part of it.
const (
	BLAKE3 Hash = 1 // BLAKE3-256, the default
	SHA256 Hash = 2
)

// Kind is the domain of a node: equal bytes of two kinds have two ids.
type Kind uint8

// Kinds of nodes. The string that each one's hash is separated by is in ids.go.
const (
	KindRoot  Kind = 1 // the root; its id is the recipe's id
	KindDir   Kind = 2 // a segment of a directory's entries, or of references to segments
	KindList  Kind = 3 // a segment of a file's chunk list
	KindXattr Kind = 4 // a set of extended attributes
)

// Mask says which metadata a recipe holds.
type Mask uint8

// Metadata masks. Their numbers are part of the format.
const (
	MaskPortable Mask = 1 // type, mode & 0777, mtime, symlink target
	MaskUnix     Mask = 2 // + owner, group, suid/sgid/sticky, hardlinks
	MaskFull     Mask = 3 // + xattrs (ACLs and capabilities are xattrs), devices, fifos
)

// Type is what an entry is.
type Type uint8

// Types of entries. Their numbers are part of the format.
const (
	TypeDir      Type = 0
	TypeFile     Type = 1
	TypeSymlink  Type = 2
	TypeHardlink Type = 3 // another name of an earlier regular file of this recipe
	TypeFifo     Type = 4
	TypeChar     Type = 5
	TypeBlock    Type = 6
)

// Limits of the format. The decoder refuses what is over them with a *LimitError.
const (
	MaxRoot        = 64 << 10 // bytes of an encoded root
	MaxNode        = 1 << 20  // bytes of a node, raw
	MaxDepth       = 255      // directories between the root and an entry
	MaxName        = 255      // bytes of a name
	MaxPath        = 4096     // bytes of a path inside the tree
	MaxTarget      = 4095     // bytes of a symlink's target
	MaxXattrName   = 255
	MaxXattrValue  = 64 << 10
	MaxXattrs      = 128 // extended attributes of one entry
	MaxInline      = 48  // a file of at most this size lies in its entry
	MaxRefs        = 16  // references that lie in the entry itself; longer lists are nodes
	MaxChunk       = 16 << 20
	MinHole        = 64 << 10 // shorter runs of zeros are data
	HoleAlign      = 4 << 10  // holes start and end at multiples of this (or at the file's end)
	minListRefs    = 16       // references of a list node before its first possible cut
	maxListRefs    = 512
	minDirEntries  = 64 // entries of a directory node before its first possible cut
	maxDirEntries  = 4096
	maxDirNodeSize = 512 << 10
)

// Profile is the chunker of a recipe: a name of the registry and the parameters, spelled out.
type Profile struct {
	Name       string `cbor:"1,keyasint"`
	Polynomial uint64 `cbor:"2,keyasint"`
	Min        uint32 `cbor:"3,keyasint"` // bytes
	AvgBits    uint8  `cbor:"4,keyasint"` // a cut where this many low bits of the digest are zero
	Max        uint32 `cbor:"5,keyasint"` // bytes
}

// Rabin16 is the default profile: chunks of 16 KiB in the mean.
var Rabin16 = Profile{Name: "rabin16", Polynomial: 0x3DA3358B4DC173, Min: 8 << 10, AvgBits: 13, Max: 64 << 10}

// Counts sum up a tree.
type Counts struct {
	Entries   uint64 `cbor:"1,keyasint"` // all entries, the top one included
	Files     uint64 `cbor:"2,keyasint"` // regular files; hardlinks are not counted again
	Dirs      uint64 `cbor:"3,keyasint"`
	Bytes     uint64 `cbor:"4,keyasint"` // sum of file sizes, holes included
	DataBytes uint64 `cbor:"5,keyasint"` // sum of chunk lengths and inline data
	Chunks    uint64 `cbor:"6,keyasint"` // chunk references, repetitions included
}

// NodeRef refers to the entries of a directory.
type NodeRef struct {
	ID      ID
	RawLen  uint32 // bytes of the node, raw
	Level   uint8  // 0: the node holds entries; n: it holds NodeRefs of level n-1
	Entries uint64 // entries below, at any depth
	Bytes   uint64 // sum of the file sizes below
	Chunks  uint64 // chunk references below
}

// Ref is one element of a chunk list.
//
// In a leaf list (level 0) it is a chunk (Chunks 1) or a hole (Hole, Chunks 0, zero ID).
// In an upper list (level n) it refers to a list node of level n-1.
type Ref struct {
	ID     ID
	Bytes  int64  // bytes of the file that it covers
	Chunks uint64 // chunk references that it covers; holes don't count
	Hole   bool
}

// List is the content of a file, or of a list node.
type List struct {
	Level uint8
	Refs  []Ref
}

// Digest is a whole-file checksum that an archive publishes.
type Digest struct {
	Alg string // "md5", "sha1", "sha256"
	Sum []byte
}

// Entry is one name of a tree. Which fields count depends on Type.
type Entry struct {
	Name    string // bytes as the file system has them, not necessarily UTF-8; empty for a top directory only
	Type    Type
	Mode    uint32 // permission bits: 0777 (portable) or 07777 (unix, full); 0 for symlinks and hardlinks
	MTime   int64  // nanoseconds since 1970; 0 for hardlinks
	UID     uint32 // unix, full
	GID     uint32
	User    string // unix, full; may be empty
	Group   string
	Xattrs  ID       // full: the id of a KindXattr node; zero for none
	Size    int64    // file: bytes
	Inline  []byte   // file of 1…MaxInline bytes: the content itself
	Content List     // file above MaxInline
	Dir     NodeRef  // directory: its entries; the zero NodeRef for an empty directory
	Target  string   // symlink: its target; hardlink: slash path from the tree's root
	Rdev    uint64   // char, block: device number, Linux encoding
	Digests []Digest // file: at most 4, sorted by Alg
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Root is the top node. Its id commits to the whole tree.
type Root struct {
	Version  uint16 // 1
	Features uint64 // required features; an unknown bit is refused
	Hash     Hash
	Profile  Profile
	Mask     Mask
	Counts   Counts
	// Top is the tree itself: a directory with an empty name, or one file with its name.
	Top Entry
}

// Item is an entry on a walk.
type Item struct {
	Path    string // slash path below the tree's root; "" for a top directory, the name for a top file
	Entry   *Entry // valid during the call
	Number  uint64 // place in depth-first order; the top is 0
	Ordinal uint64 // ordinal of its first chunk: chunk references are numbered in depth-first order
}

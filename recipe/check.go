package recipe

import (
	"math"
	"strings"
)

// maxDigests is how many archive digests a file may carry.
const maxDigests = 4

// stagingName is where a receiver keeps unfinished files: a tree can't hold it at its top.
const stagingName = ".dfetch"

// checkEntry says what is wrong with an entry. Encoder and decoder share it.
func checkEntry(e *Entry, mask Mask, top bool) error {
	if err := checkEntryName(e, top); err != nil {
		return err
	}
	if err := checkMask(e, mask); err != nil {
		return err
	}
	switch e.Type {
	case TypeFile:
		return locateName(checkFile(e), e)
	case TypeDir:
		return locateName(checkDirRef(&e.Dir), e)
	case TypeSymlink:
		return checkTarget(e)
	case TypeHardlink:
		return checkHardlink(e)
	}
	return nil
}

func locateName(err error, e *Entry) error {
	if err == nil {
		return nil
	}
	return locate(err, e.Name)
}

func checkEntryName(e *Entry, top bool) error {
	switch {
	case !top:
		return CheckName(e.Name)
	case e.Type == TypeDir && e.Name == "":
		return nil
	case e.Type == TypeDir:
		return bad(e.Name, "top directory with a name")
	case e.Type == TypeFile:
		return CheckName(e.Name)
	}
	return bad(e.Name, "top of the tree is neither a directory nor a file")
}

// CheckName says what is wrong with the name of an entry.
func CheckName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return bad("", "name %q", name)
	case len(name) > MaxName:
		return over("name", name[:MaxName], MaxName, len(name))
	case strings.ContainsAny(name, "/\x00"):
		return bad("", "name %q holds a slash or NUL", name)
	}
	return nil
}

// CheckPath says what is wrong with a slash path below a tree's root.
func CheckPath(path string) error {
	if len(path) > MaxPath {
		return over("path", path[:MaxName], MaxPath, len(path))
	}
	depth := 0
	for name := range strings.SplitSeq(path, "/") {
		if err := CheckName(name); err != nil {
			return err
		}
		if depth++; depth > MaxDepth {
			return over("depth", path, MaxDepth, depth)
		}
	}
	return nil
}

func checkMask(e *Entry, mask Mask) error {
	switch {
	case mask < MaskPortable || mask > MaskFull:
		return bad("", "unknown metadata mask %d", mask)
	case e.Type > TypeBlock:
		return bad(e.Name, "unknown type %d", e.Type)
	case e.Type == TypeHardlink && mask < MaskUnix:
		return bad(e.Name, "hardlink in a portable recipe")
	case e.Type >= TypeFifo && mask < MaskFull:
		return bad(e.Name, "fifo or device in a recipe that is not full")
	case !e.Xattrs.IsZero() && mask < MaskFull:
		return bad(e.Name, "extended attributes in a recipe that is not full")
	case e.owner() != owner{} && mask < MaskUnix:
		return bad(e.Name, "owner in a portable recipe")
	case e.Mode > modeBits(mask):
		return bad(e.Name, "mode %#o beyond %#o", e.Mode, modeBits(mask))
	case e.Mode != 0 && !e.hasMode():
		return bad(e.Name, "mode on a link")
	case e.Type == TypeHardlink && (e.MTime != 0 || e.owner() != owner{} || !e.Xattrs.IsZero()):
		return bad(e.Name, "metadata on a hardlink")
	}
	return checkOwner(e)
}

func checkOwner(e *Entry) error {
	switch {
	case len(e.User) > MaxName:
		return over("user name", e.Name, MaxName, len(e.User))
	case len(e.Group) > MaxName:
		return over("group name", e.Name, MaxName, len(e.Group))
	case strings.ContainsRune(e.User, 0), strings.ContainsRune(e.Group, 0):
		return bad(e.Name, "user or group name holds NUL")
	}
	return nil
}

func modeBits(mask Mask) uint32 {
	if mask == MaskPortable {
		return 0o777
	}
	return 0o7777
}

func checkFile(e *Entry) error {
	if err := checkDigests(e.Digests); err != nil {
		return err
	}
	if e.Size < 0 {
		return bad("", "size %d", e.Size)
	}
	if e.Size <= MaxInline {
		if int64(len(e.Inline)) != e.Size || len(e.Content.Refs) > 0 || e.Content.Level != 0 {
			return bad("", "file of %d bytes does not lie in its entry", e.Size)
		}
		return nil
	}
	if len(e.Inline) > 0 {
		return bad("", "file of %d bytes with inline content", e.Size)
	}
	if err := checkRefs(e.Content, MaxRefs); err != nil {
		return err
	}
	if s, ok := e.Content.sums(); !ok || s.bytes != uint64(e.Size) {
		return bad("", "chunks of %d bytes in a file of %d", s.bytes, e.Size)
	}
	return nil
}

func checkDirRef(n *NodeRef) error {
	if n.Entries == 0 {
		if *n != (NodeRef{}) {
			return bad("", "reference to a directory node without entries")
		}
		return nil
	}
	return checkNodeRef(n)
}

func checkNodeRef(n *NodeRef) error {
	switch {
	case n.RawLen > MaxNode:
		return over("node", "", MaxNode, int(n.RawLen))
	case n.Level > maxLevel:
		return over("directory level", "", maxLevel, int(n.Level))
	case n.ID.IsZero() || n.RawLen == 0 || n.Entries == 0:
		return bad("", "empty node reference")
	case n.Entries >= math.MaxInt64 || n.Bytes > math.MaxInt64 || n.Chunks > n.Bytes:
		return bad("", "node reference declares %d entries, %d bytes, %d chunks", n.Entries, n.Bytes, n.Chunks)
	}
	return nil
}

func checkTarget(e *Entry) error {
	switch {
	case len(e.Target) > MaxTarget:
		return over("symlink target", e.Name, MaxTarget, len(e.Target))
	case e.Target == "" || strings.ContainsRune(e.Target, 0):
		return bad(e.Name, "symlink target is empty or holds NUL")
	}
	return nil
}

func checkHardlink(e *Entry) error {
	if err := CheckPath(e.Target); err != nil {
		return &FormatError{What: "hardlink target", Entry: e.Name, Err: err}
	}
	return nil
}

// digests are the algorithms of whole-file checksums, sorted; an index is a number of the format, less one.
var digests = [...]struct {
	alg string
	len int
}{{"md5", 16}, {"sha1", 20}, {"sha256", 32}}

func digestNumber(alg string) byte {
	for i, d := range digests {
		if d.alg == alg {
			return byte(i + 1)
		}
	}
	return 0
}

func digestAlg(number byte) string {
	if number == 0 || int(number) > len(digests) {
		return ""
	}
	return digests[number-1].alg
}

func digestLen(alg string) int {
	if n := digestNumber(alg); n > 0 {
		return digests[n-1].len
	}
	return 0
}

func checkDigests(ds []Digest) error {
	if len(ds) > maxDigests {
		return over("number of digests", "", maxDigests, len(ds))
	}
	for i, d := range ds {
		switch {
		case digestNumber(d.Alg) == 0:
			return bad("", "unknown digest %q", d.Alg)
		case len(d.Sum) != digestLen(d.Alg):
			return bad("", "%s digest of %d bytes", d.Alg, len(d.Sum))
		case i > 0 && d.Alg <= ds[i-1].Alg:
			return bad("", "digests are not sorted")
		}
	}
	return nil
}

package recipe

import (
	"bytes"
	"strings"
)

// An xattr node is its kind and, for each attribute sorted by name, uvarint length and bytes of the
// name, uvarint length and bytes of the value.

// EncodeXattrs is the node that holds a set of extended attributes: 1 to 128, sorted by name.
func EncodeXattrs(xs []Xattr) ([]byte, error) {
	if err := checkXattrs(xs); err != nil {
		return nil, err
	}
	raw := []byte{byte(KindXattr)}
	for _, x := range xs {
		raw = appendString(raw, x.Name)
		raw = appendString(raw, string(x.Value))
	}
	if len(raw) > MaxNode {
		return nil, over("node", "extended attributes", MaxNode, len(raw))
	}
	return raw, nil
}

// DecodeXattrs reads an xattr node.
func DecodeXattrs(raw []byte) ([]Xattr, error) {
	if len(raw) > MaxNode {
		return nil, over("node", "extended attributes", MaxNode, len(raw))
	}
	if len(raw) < 1 || raw[0] != byte(KindXattr) {
		return nil, bad("", "not a node of extended attributes")
	}
	r := newByteReader(raw)
	r.pos = 1
	var xs []Xattr
	for r.left() > 0 {
		if len(xs) == MaxXattrs {
			return nil, over("number of extended attributes", "", MaxXattrs, MaxXattrs+1)
		}
		name, err := r.string("extended attribute's name", "", MaxXattrName)
		if err != nil {
			return nil, err
		}
		value, err := r.string("extended attribute's value", name, MaxXattrValue)
		if err != nil {
			return nil, err
		}
		xs = append(xs, Xattr{Name: name, Value: []byte(value)})
	}
	if r.bad != "" {
		return nil, bad("", "extended attributes: %s", r.bad)
	}
	again, err := EncodeXattrs(xs)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, raw) {
		return nil, bad("", "extended attributes are not in their one encoding")
	}
	return xs, nil
}

func checkXattrs(xs []Xattr) error {
	switch {
	case len(xs) == 0:
		return bad("", "empty set of extended attributes")
	case len(xs) > MaxXattrs:
		return over("number of extended attributes", "", MaxXattrs, len(xs))
	}
	for i, x := range xs {
		switch {
		case x.Name == "" || strings.ContainsRune(x.Name, 0):
			return bad(x.Name, "extended attribute's name is empty or holds NUL")
		case len(x.Name) > MaxXattrName:
			return over("extended attribute's name", x.Name[:MaxXattrName], MaxXattrName, len(x.Name))
		case len(x.Value) > MaxXattrValue:
			return over("extended attribute's value", x.Name, MaxXattrValue, len(x.Value))
		case i > 0 && x.Name <= xs[i-1].Name:
			return bad(x.Name, "extended attributes are not sorted")
		}
	}
	return nil
}

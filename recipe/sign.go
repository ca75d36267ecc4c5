package recipe

import (
	"crypto/ed25519"
	"slices"
	"strings"
)

// signPrefix separates our signatures from any other use of a key.
const signPrefix = "dfetch-sig-v1\x00"

const keyPrefix = "ed25519-"

// Signature says that the holder of a key vouches for a recipe and for some of its attachments.
//
// What is signed is "dfetch-sig-v1", a NUL, the recipe's id, and the BLAKE3 of the covered
// attachments' ids one after the other. An attachment that is added or removed later breaks no
// signature; Covers tells which ones a signature stands for.
type Signature struct {
	Key     []byte `cbor:"1,keyasint"` // ed25519 public key
	Covered []ID   `cbor:"2,keyasint"` // ids of attachments
	Sum     []byte `cbor:"3,keyasint"` // ed25519 signature
}

func signedBytes(root ID, covered []ID) []byte {
	var ids []byte
	for _, id := range covered {
		ids = append(ids, id[:]...)
	}
	sum := BLAKE3.Chunk(ids)
	return slices.Concat([]byte(signPrefix), root[:], sum[:])
}

// Sign makes a signature of the recipe root over some attachments.
func Sign(key ed25519.PrivateKey, root ID, covered ...Attachment) Signature {
	ids := make([]ID, len(covered))
	for i, a := range covered {
		ids[i] = a.ID()
	}
	return Signature{
		Key:     slices.Clone(key.Public().(ed25519.PublicKey)),
		Covered: ids,
		Sum:     ed25519.Sign(key, signedBytes(root, ids)),
	}
}

// Verify says whether the signature is its key's own, for the recipe root.
func (s Signature) Verify(root ID) bool {
	return len(s.Key) == ed25519.PublicKeySize && ed25519.Verify(s.Key, signedBytes(root, s.Covered), s.Sum)
}

// Covers says whether the signature stands for an attachment. Verify it first.
func (s Signature) Covers(a Attachment) bool { return slices.Contains(s.Covered, a.ID()) }

// Attachment is the signature as an attachment.
func (s Signature) Attachment() (Attachment, error) {
	if s.Covered == nil {
		s.Covered = []ID{}
	}
	raw, err := cborModes().Marshal(s)
	if err != nil {
		return Attachment{}, &FormatError{What: "signature", Err: err}
	}
	return Attachment{Type: AttachSignature, Data: raw}, nil
}

// Signatures are the signatures among the attachments that are true for the recipe root. Others
// are left out.
func Signatures(root ID, as []Attachment) []Signature {
	var out []Signature
	for _, a := range as {
		if a.Type != AttachSignature {
			continue
		}
		var s Signature
		if cborModes().Unmarshal(a.Data, &s) == nil && s.Verify(root) {
			out = append(out, s)
		}
	}
	return out
}

// FormatKey is the text form of a signing key: ed25519- and base 32 in lower case.
func FormatKey(key ed25519.PublicKey) string { return keyPrefix + text.EncodeToString(key) }

// ParseKey reads what FormatKey wrote.
func ParseKey(s string) (ed25519.PublicKey, error) {
	digits, ok := strings.CutPrefix(s, keyPrefix)
	if !ok {
		return nil, bad("", "key %.80q does not start with %s", s, keyPrefix)
	}
	sum, err := parseText(digits)
	if err != nil {
		return nil, bad("", "key %.80q: %v", s, err)
	}
	return sum[:], nil
}

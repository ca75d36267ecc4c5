package recipe

import (
	"crypto/ed25519"
	"testing"
)

func TestSignatures(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	root := ID{1}
	mirror, other := Attachment{AttachMirror, []byte("https://a/")}, Attachment{AttachMirror, []byte("https://b/")}
	s := Sign(key, root, mirror)
	if !s.Verify(root) || s.Verify(ID{2}) || !s.Covers(mirror) || s.Covers(other) {
		t.Error("signature says something else")
	}
	moved := s
	moved.Covered = []ID{other.ID()}
	if moved.Verify(root) {
		t.Error("other attachments under the same signature")
	}
	short := s
	short.Key = s.Key[:31]
	if short.Verify(root) || (Signature{}).Verify(root) {
		t.Error("short key")
	}
	a, err := s.Attachment()
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := Sign(key, root).Attachment()
	foreign, _ := Sign(key, ID{2}).Attachment()
	as := []Attachment{mirror, a, foreign, {AttachSignature, []byte("junk")}, plain}
	got := Signatures(root, as)
	if len(got) != 2 || !got[0].Covers(mirror) || got[1].Covers(mirror) {
		t.Errorf("%d signatures", len(got))
	}
	pub := key.Public().(ed25519.PublicKey)
	if back, err := ParseKey(FormatKey(pub)); err != nil || !back.Equal(pub) {
		t.Error(err)
	}
}

func TestAttachmentsComeBack(t *testing.T) {
	for _, as := range [][]Attachment{nil, {{"a", nil}}, {{"a", []byte{1}}, {"a", []byte{2}}}} {
		raw, err := EncodeAttachments(as)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeAttachments(raw)
		if err != nil || len(got) != len(as) {
			t.Fatal(err)
		}
	}
	if _, err := EncodeAttachments([]Attachment{{}}); err == nil {
		t.Error("attachment without a type")
	}
	for _, raw := range [][]byte{nil, {0x80, 0}, {0xa0}, {0x9f, 0xff}} {
		if _, err := DecodeAttachments(raw); err == nil {
			t.Errorf("%x accepted", raw)
		}
	}
}

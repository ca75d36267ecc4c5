package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSigningKeyIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	if err := createSigningKey(path); err != nil {
		t.Fatal(err)
	}
	first, err := loadSigningKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := createSigningKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second key in the same place: %v", err)
	}
	second, err := loadSigningKey(path)
	if err != nil || !first.Equal(second) {
		t.Errorf("the key changed: %v", err)
	}
}

func TestSigningKeyRefusals(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		mode       fs.FileMode
		want       string
	}{
		{"open to others", "", 0o640, "mode 0640 lets others read the key; make it 0600"},
		{"empty", "", 0o600, "no PEM block"},
		{"public", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0o600, "no PEM block of a private key"},
		{"not DER", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "asn1"},
		{"another algorithm", string(pem.EncodeToMemory(&pem.Block{Type: signingType, Bytes: der})), 0o600, "not an ed25519 key"},
		{"huge", strings.Repeat("x", maxKeyFile+1), 0o600, "more bytes than a key has (limit 16384)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := loadSigningKey(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, tt.want)
			}
		})
	}
}

package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	identityFile = "identity.key"
	identityType = "PRIVATE KEY"
	maxIdentity  = 16 << 10 // bytes of the file
	pinPrefix    = "sha256-"
)

// ErrPin means that the peer is not the one whose pin was given.
var ErrPin = errors.New("peer's key does not have the pin of the address")

// Identity is a key pair with a certificate that is made for it in memory.
type Identity struct {
	cert tls.Certificate
	pin  string
}

// LoadIdentity reads the identity kept in dir, and makes one if there is none. The directory is made
// with mode 0700 if it is missing; the file has mode 0600, and one that others can read is refused.
func LoadIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createKey(dir, path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return newIdentity(key)
}

// NewIdentity makes an identity that is kept nowhere.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return newIdentity(key)
}

// Pin names the public key: "sha256-" and the base64url hash of its SPKI.
func (id *Identity) Pin() string { return id.pin }

func readKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %04o lets others read the key; make it 0600", path, info.Mode().Perm())
	}
	if info.Size() > maxIdentity {
		return nil, fmt.Errorf("%s: %d bytes are more than a key has (limit %d)", path, info.Size(), maxIdentity)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != identityType {
		return nil, errors.New("no PEM block of a private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	return key, nil
}

// createKey writes a new key to path. If two processes do so at once, the first one's key stays.
func createKey(dir, path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return createOnce(dir, path, pem.EncodeToMemory(&pem.Block{Type: identityType, Bytes: der}))
}

// createOnce makes a private file in dir, and dir if need be. The file has all of its text from the moment at which it
// is there; one that is there already stays.
func createOnce(dir, path string, text []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func newIdentity(key *ecdsa.PrivateKey) (*Identity, error) {
	// Nobody looks at names and dates, so the certificate says nothing about the host or the day.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "dfetch"},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &Identity{
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		pin:  pinOf(leaf),
	}, nil
}

func pinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return pinPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

// CheckPin says whether a pin is well formed.
func CheckPin(pin string) error {
	if len(pin) > len(pinPrefix) && pin[:len(pinPrefix)] == pinPrefix {
		sum, err := base64.RawURLEncoding.DecodeString(pin[len(pinPrefix):])
		if err == nil && len(sum) == sha256.Size {
			return nil
		}
	}
	return fmt.Errorf("pin %q: want %q and 32 bytes in base64url", pin, pinPrefix)
}

func samePin(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

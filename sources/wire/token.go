package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	tokenBytes = 16
	maxToken   = 256 // bytes of its text
)

// NewToken makes a random token of 128 bits, in base64url.
func NewToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// SameToken compares tokens in a time that depends on neither.
func SameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// LoadToken reads the token kept in dir under name (of a recipe, say), and makes one if there is none.
// So an address that was handed out goes on working when serving starts again. Processes that do so at
// the same time get the same token.
func LoadToken(dir, name string) (string, error) {
	if name != filepath.Base(name) || name == "." || name == ".." {
		return "", fmt.Errorf("token: %q is not a file name", name)
	}
	path := filepath.Join(dir, name)
	token, err := readToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := createOnce(dir, path, []byte(NewToken()+"\n")); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return readToken(path)
}

// readToken reads a token file; its error says the path.
func readToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(token) > maxToken {
		return "", fmt.Errorf("token: %s: want 1 to %d bytes of text", path, maxToken)
	}
	return token, nil
}

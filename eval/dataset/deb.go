package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// debPin is one version of a Debian package, and the SHA-256 of its file for debArchitecture.
type debPin struct{ version, sha256 string }

// debPins are the versions that pairs are made of, by package: packages change, and figures of other versions are not
// to be compared.
var debPins = map[string]struct{ older, newer debPin }{
	"linux-libc-dev": {
		debPin{"6.1.176-1", "8bb258735b9dffbb111da778ebdd024750878e435ffd9dfcadcb6762ede6b4cf"},
		debPin{"6.1.192-2", "e0632f8e55ec0d2d1c56f9c65a8bcb64ad5d79add297266bc89c616dfef9a7fe"},
	},
}

const debArchitecture = "amd64"

// errOtherFile is the error of a package's file that is not the pinned one.
var errOtherFile = errors.New("this is not the file that the pair is pinned to")

// pinned writes a package with its pinned versions: PACKAGE@OLD..NEW.
func pinned(name string) string {
	pair := debPins[name]
	return fmt.Sprintf("%s@%s..%s", name, pair.older.version, pair.newer.version)
}

// debRelease unpacks a pinned version of a Debian package.
func debRelease(ctx context.Context, what, release, dir string) error {
	pair := debPins[what]
	for _, pin := range []debPin{pair.older, pair.newer} {
		if pin.version == release {
			return unpackDeb(ctx, what, pin, dir)
		}
	}
	return fmt.Errorf("no version %s of %s is pinned", release, what)
}

// unpackDeb downloads and unpacks a version. Package sources that have it no more give an error as others do; another
// file in its place is errOtherFile.
func unpackDeb(ctx context.Context, what string, pin debPin, dir string) error {
	if _, err := in(ctx, dir, "apt-get", "-q", "download", what+":"+debArchitecture+"="+pin.version); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("apt-get download %s=%s left no package", what, pin.version)
	}
	if err := isPinned(archives[0], pin); err != nil {
		return err
	}
	if _, err := in(ctx, dir, "dpkg-deb", "-x", archives[0], dir); err != nil {
		return err
	}
	return os.Remove(archives[0])
}

// SHA256 is the hash of a file, in hexadecimal digits.
func SHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// isPinned compares a file's hash with the pinned one.
func isPinned(path string, pin debPin) error {
	got, err := SHA256(path)
	if err != nil {
		return err
	}
	if got != pin.sha256 {
		return fmt.Errorf("%s: %w: its SHA-256 is %s, want %s", filepath.Base(path), errOtherFile, got, pin.sha256)
	}
	return nil
}

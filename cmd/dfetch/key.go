package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dfetch/recipe"
	"dfetch/sources/wire"
)

// Files of the keys in the configuration directory.
const (
	identityFile = "identity.key" // the name that package wire gives it
	signingFile  = "signing.key"
	signingType  = "PRIVATE KEY" // of the PEM block, PKCS #8
	maxKeyFile   = 16 << 10      // bytes
)

// newKeyCmd makes "dfetch key".
func newKeyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make and show the identity and signing keys",
		Long: `Make and show the two keys in $XDG_CONFIG_HOME/dfetch.

The identity is what "dfetch serve" proves to be itself with; addresses carry its pin. The signing
key signs recipes ("dfetch recipe --sign"); "dfetch show" names who signed one.`,
		Args: cobra.ArbitraryArgs,
		RunE: needCommand,
	}
	cmd.AddCommand(newKeyNewCmd(), newKeyShowCmd())
	return cmd
}

func newKeyNewCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "new",
		Short: "Make the keys that are missing, and show both",
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := places{}.config()
			if err != nil {
				return err
			}
			if err := makeKeys(dir); err != nil {
				return err
			}
			return showKeys(cmd.OutOrStdout(), dir)
		},
	}
}

func newKeyShowCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the public part of the keys",
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := places{}.config()
			if err != nil {
				return err
			}
			return showKeys(cmd.OutOrStdout(), dir)
		},
	}
}

// makeKeys makes the keys that dir does not hold. It fails if both are there: a new key in place of
// an old one would make addresses and signatures worthless that are already in use.
func makeKeys(dir string) error {
	_, noIdentity := os.Stat(filepath.Join(dir, identityFile))
	_, noSigning := os.Stat(filepath.Join(dir, signingFile))
	if noIdentity == nil && noSigning == nil {
		return withCode(exitFileIO, fmt.Errorf("%s holds both keys; to replace one, remove its file first", dir))
	}
	if _, err := wire.LoadIdentity(dir); err != nil {
		return err
	}
	if noSigning == nil {
		return nil
	}
	return createSigningKey(filepath.Join(dir, signingFile))
}

// showKeys prints a line for each key that dir holds, and fails if it holds none.
func showKeys(w io.Writer, dir string) error {
	lines := ""
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err == nil {
		id, err := wire.LoadIdentity(dir)
		if err != nil {
			return err
		}
		lines += "identity " + id.Pin() + "\n"
	}
	key, err := loadSigningKey(filepath.Join(dir, signingFile))
	switch {
	case err == nil:
		lines += "signing  " + recipe.FormatKey(key.Public().(ed25519.PublicKey)) + "\n"
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if lines == "" {
		return withCode(exitSelection, fmt.Errorf("%s holds no keys; \"dfetch key new\" makes them", dir))
	}
	_, err = io.WriteString(w, lines)
	return err
}

// loadSigningKey reads a signing key. A file that others can read is refused.
func loadSigningKey(path string) (ed25519.PrivateKey, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	key, err := parseSigningKey(text)
	if err != nil {
		return nil, fmt.Errorf("signing key: %s: %w", path, err)
	}
	return key, nil
}

// readSecret reads a small file that only its owner may read.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %04o lets others read the key; make it 0600", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s: more bytes than a key has (limit %d)", path, maxKeyFile)
	}
	return text, err
}

// parseSigningKey reads the PEM form that createSigningKey writes.
func parseSigningKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != signingType {
		return nil, errors.New("no PEM block of a private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an ed25519 key")
	}
	return key, nil
}

// createSigningKey makes a key and writes it to path, which must not exist. It leaves no half file.
func createSigningKey(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: signingType, Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("signing key: %w", err), os.Remove(path))
	}
	return nil
}

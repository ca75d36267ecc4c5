package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"dfetch/fetch"
	"dfetch/recipe"
	"dfetch/sources/wire"
)

// origin is what the words before DEST name: a recipe, and who may have it.
type origin struct {
	hash      recipe.Hash
	id        recipe.ID
	path      string       // the part of the tree that is meant; "" for all
	file      *recipe.File // nil unless a .dfr file was named
	endpoints []fetch.Endpoint
}

func (o *origin) close() {
	if o.file != nil {
		o.file.Close()
	}
}

// resolve reads addresses and .dfr files that all name the same recipe.
func resolve(words []string, token string) (*origin, error) {
	o := &origin{}
	for _, w := range words {
		if err := o.add(w, token); err != nil {
			o.close()
			return nil, err
		}
	}
	return o, nil
}

func (o *origin) add(word, token string) error {
	if !recipe.IsAddress(word) {
		return o.addFile(word)
	}
	a, err := recipe.ParseAddress(word)
	if err != nil {
		return usagef("%v", err)
	}
	if err := o.name(a.Hash, a.ID, a.Path, word); err != nil {
		return err
	}
	if len(a.Senders) == 0 {
		return nil
	}
	if a.Pin == "" {
		return withCode(exitIdentity, fmt.Errorf("%s: the address names a sender without its pin", a.WithoutToken()))
	}
	if err := wire.CheckPin(a.Pin); err != nil {
		return usagef("%s: %v", a.WithoutToken(), err)
	}
	ep := fetch.Endpoint{Addrs: a.Senders, Pin: a.Pin, Token: a.Token}
	if token != "" {
		ep.Token = token
	}
	o.endpoints = append(o.endpoints, ep)
	return nil
}

func (o *origin) addFile(path string) error {
	f, err := recipe.OpenFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return withCode(exitSelection, fmt.Errorf("%q is neither an address (dfetch:…) nor a .dfr file: %w", path, err))
	}
	if err != nil {
		return withCode(exitRecipe, err)
	}
	if err := o.name(f.Root().Hash, f.ID(), "", path); err != nil || o.file != nil {
		f.Close()
		return err
	}
	o.file = f
	return nil
}

// signedBy says whether the recipe has a valid signature by one of the keys. Signatures lie in .dfr files.
func (o *origin) signedBy(keys []string) error {
	if o.file == nil {
		return usagef("--trust wants the signed .dfr file beside the address")
	}
	signatures := recipe.Signatures(o.id, o.file.Attachments())
	signed := false
	for _, text := range keys {
		key, err := recipe.ParseKey(text)
		if err != nil {
			return usagef("--trust: %v", err)
		}
		signed = signed || slices.ContainsFunc(signatures, func(s recipe.Signature) bool { return key.Equal(ed25519.PublicKey(s.Key)) })
	}
	if signed {
		return nil
	}
	return withCode(exitRecipe, errors.New("the recipe is not signed by a key that --trust names"))
}

// name notes the recipe's id and the part of it that is meant; every word must give the same.
func (o *origin) name(h recipe.Hash, id recipe.ID, part, word string) error {
	if o.id.IsZero() {
		o.hash, o.id, o.path = h, id, part
		return nil
	}
	if o.id != id || o.hash != h || o.path != part {
		return usagef("%s names something else than the first argument", clip(word))
	}
	return nil
}

// maxTokenFile is the most that --token-file may hold.
const maxTokenFile = 4096

// readTokenFile reads --token-file.
func readTokenFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if len(text) > maxTokenFile {
		return "", usagef("--token-file %s: longer than %d bytes", path, maxTokenFile)
	}
	return strings.TrimSpace(string(text)), nil
}

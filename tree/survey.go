package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dfetch/recipe"
)

// Survey looks at a destination without changing it or taking its lock: it says what a transfer would
// have to bring. It does not look at what is staged, so its answers are upper bounds.
type Survey struct {
	root *os.Root // nil: the destination does not exist
	only string   // a file recipe's name at the destination
}

// NewSurvey opens a destination, as Config.Dest has it. One that does not exist is no error.
func NewSurvey(dest string, top *recipe.Entry) (*Survey, error) {
	s := &Survey{}
	dir := dest
	if top.Type != recipe.TypeDir {
		dir, s.only = filepath.Dir(dest), filepath.Base(dest)
	}
	root, err := os.OpenRoot(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("tree: survey: %w", err)
	}
	s.root = root
	return s, nil
}

// Right says whether a regular file of the recipe is right by size and time.
func (s *Survey) Right(it recipe.Item) bool {
	if s.root == nil {
		return false
	}
	path := it.Path
	if s.only != "" {
		path = s.only
	}
	st, err := s.root.Lstat(path)
	return err == nil && st.Mode().IsRegular() && st.Size() == it.Entry.Size && st.ModTime().UnixNano() == it.Entry.MTime
}

// Close closes the destination.
func (s *Survey) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

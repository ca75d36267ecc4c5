package diskbench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"dfetch/costmodel/homes"
)

// homeSeed fixes the made-up home.
const homeSeed = 7

// dirsOf is how many directories a home with so many files has, in the paper's proportion.
func dirsOf(files int64) int { return max(16, int(files*homes.Dirs/homes.Files)) }

// home returns the folder of a home with so many files, made if it is not there. It is as it was planned: what a run that
// was killed left in it is removed.
func (b *Bench) home(files int64) (string, error) {
	dir, err := b.Store.Keep(fmt.Sprintf("home-%d", files), func(dir string) error {
		return writeHome(dir, homes.New(homeSeed, dirsOf(files), int(files)))
	})
	if err != nil {
		return "", err
	}
	return dir, tidy(dir)
}

// writeHome writes directories, and files that are holes.
func writeHome(dir string, h *homes.Home) error {
	for _, d := range h.Dirs { // each behind the one above it
		path := filepath.Join(append([]string{dir}, d.Path...)...)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		for _, f := range d.Files {
			if err := writeHole(filepath.Join(path, f.Name), f); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeHole(path string, f homes.File) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	t := time.Unix(0, f.MTime)
	return errors.Join(file.Truncate(f.Size), file.Close(), os.Chtimes(path, t, t))
}

// tidy removes what rows and transfers put into a home.
func tidy(home string) error {
	dest := filepath.Join(append([]string{home}, homes.WantedDir()...)...)
	err := remove(filepath.Join(dest, homes.WantedName))
	staged, _ := filepath.Glob(filepath.Join(dest, ".dfetch*")) // the pattern is well formed
	for _, dir := range staged {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	for _, row := range homes.Table3() {
		err = errors.Join(err, remove(usefulPath(home, row)))
	}
	return err
}

// remove removes a file, if it is there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func usefulPath(home string, row homes.Row) string {
	return filepath.Join(home, filepath.Join(row.In...), row.Useful.Name)
}

// wanted is the content of the file that is looked for.
func wanted() []byte {
	content := make([]byte, homes.WantedSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // never fails
	return content
}

// writeUseful puts the row's useful file into the home. It is older than the wanted one in any case: a file of the same
// name, size and time at the destination would be taken as right, without a search.
func writeUseful(home string, row homes.Row) error {
	path := usefulPath(home, row)
	if err := os.WriteFile(path, usefulContent(row), 0o644); err != nil {
		return err
	}
	t := time.Unix(0, min(row.Useful.MTime, homes.WantedTime-int64(time.Hour)))
	return os.Chtimes(path, t, t)
}

// similarPieces is how many pieces of wanted content a file that is similar in part has.
const similarPieces = 10

// usefulContent is the wanted content, or pieces of it all over other bytes.
func usefulContent(row homes.Row) []byte {
	content := wanted()
	if row.Similar == 100 {
		return content
	}
	other := make([]byte, row.Useful.Size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(other) // never fails
	piece := len(content) * row.Similar / 100 / similarPieces
	for i := range similarPieces {
		at := i * len(content) / similarPieces
		copy(other[at:at+piece], content[at:])
	}
	return other
}

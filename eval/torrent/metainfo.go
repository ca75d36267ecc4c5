package torrent

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// pieceLength is the length of a piece.
const pieceLength = 256 << 10

// Metainfo returns the torrent file for one file, which announce tracks.
func Metainfo(path, announce string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pieces, err := hashes(f)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "d%s%s%sd%si%de%s%s%si%de%s%see", str("announce"), str(announce), str("info"),
		str("length"), info.Size(), str("name"), str(filepath.Base(path)),
		str("piece length"), pieceLength, str("pieces"), str(string(pieces))), nil
}

// str is a string as torrent files have it.
func str(s string) string { return fmt.Sprintf("%d:%s", len(s), s) }

// hashes are the pieces' hashes, one after the other.
func hashes(r io.Reader) (sums []byte, err error) {
	buf := make([]byte, pieceLength)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			sum := sha1.Sum(buf[:n])
			sums = append(sums, sum[:]...)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return sums, nil
		case err != nil:
			return nil, err
		}
	}
}

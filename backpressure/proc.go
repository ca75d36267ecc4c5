package backpressure

import (
	"bytes"
	"os"
)

// maxProcFile bounds what is read of a file of /proc.
const maxProcFile = 64 << 10

// readProc reads the beginning of a file into buf.
func readProc(name string, buf []byte) ([]byte, bool) {
	f, err := os.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	n := 0
	for n < len(buf) {
		m, err := f.Read(buf[n:])
		n += m
		if err != nil || m == 0 {
			break
		}
	}
	return buf[:n], n > 0
}

// labelled is the number after a label.
func labelled(data []byte, label string) (int64, bool) {
	rest, ok := afterLabel(data, label)
	if !ok {
		return 0, false
	}
	return number(bytes.TrimLeft(rest, " "))
}

// afterLabel is what follows a label.
func afterLabel(data []byte, label string) ([]byte, bool) {
	_, after, ok := bytes.Cut(data, []byte(label))
	return after, ok
}

// maxDigits keeps number from overflowing.
const maxDigits = 18

// number reads the digits at the beginning.
func number(data []byte) (n int64, ok bool) {
	for i := 0; i < len(data) && data[i] >= '0' && data[i] <= '9'; i++ {
		if i == maxDigits {
			return 0, false
		}
		n, ok = 10*n+int64(data[i]-'0'), true
	}
	return n, ok
}

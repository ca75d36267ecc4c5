package blake3

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/blake3"
)

func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data)
	return data
}

// eachCompressor runs a test with each compressor that this processor has, and with none.
func eachCompressor(t *testing.T, test func(t *testing.T)) {
	defer func(c compressor) { compress = c }(compress)
	for i, c := range append([]compressor{nil}, compressors...) {
		compress = c
		t.Run(fmt.Sprint(i), test)
	}
}

// TestEveryLength compares each length up to some leaves, and some around powers of two, with the
// other implementation.
func TestEveryLength(t *testing.T) { eachCompressor(t, testEveryLength) }

func testEveryLength(t *testing.T) {
	data := noise(1, 1<<20+1)
	check := func(n int) {
		if got, want := Sum256(data[:n]), blake3.Sum256(data[:n]); got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
	for n := range 9 << 10 {
		check(n)
	}
	for n := 16 << 10; n <= 1<<20; n *= 2 {
		for _, d := range []int{-1025, -1024, -1023, -65, -1, 0, 1} {
			check(n + d)
		}
	}
}

// TestSums hashes pieces of random lengths together and compares with each one's own.
func TestSums(t *testing.T) { eachCompressor(t, testSums) }

func testSums(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := noise(2, 4<<20)
	for round := range 200 {
		lens := make([]uint32, rng.IntN(60))
		for i := range lens {
			lens[i] = rng.Uint32N([]uint32{3, 70, 1500, 40_000}[rng.IntN(4)])
		}
		compare(t, data[round:], lens)
	}
	compare(t, data, []uint32{0})
	compare(t, data, []uint32{3 << 20, 1, 0, 1<<20 - 1})
	compare(t, data, nil)
}

func compare(t *testing.T, data []byte, lens []uint32) {
	t.Helper()
	out := make([][32]byte, len(lens))
	Sums(out, data, lens)
	for i, n := range lens {
		if want := blake3.Sum256(data[:n]); out[i] != want {
			t.Fatalf("piece %d of %v: %x, want %x", i, lens, out[i], want)
		}
		data = data[n:]
	}
}

// TestConcurrent uses the pool of rooms from several goroutines.
func TestConcurrent(t *testing.T) {
	data := noise(3, 300_000)
	for g := range 8 {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			t.Parallel()
			for i := range 50 {
				compare(t, data[g*i:], []uint32{uint32(1000 * g), 20_000, uint32(777 * i), 64 << 10})
			}
		})
	}
}

// FuzzSums cuts any data anywhere and compares with the other implementation.
func FuzzSums(f *testing.F) {
	f.Add([]byte(nil), uint32(0))
	f.Add(noise(4, 5000), uint32(1))
	f.Add(noise(5, 70_000), uint32(1024))
	f.Add(noise(6, 40_000), uint32(17_011))
	f.Fuzz(func(t *testing.T, data []byte, step uint32) {
		var lens []uint32
		for left := uint32(len(data)); left > 0 && len(lens) < 1000; {
			n := min(left, step%(64<<10)+uint32(len(lens)))
			lens = append(lens, n)
			left -= n
		}
		compare(t, data, lens)
	})
}

func BenchmarkSum256(b *testing.B) {
	for _, n := range []int{1 << 10, 4 << 10, 5 << 10, 8 << 10, 16 << 10, 20 << 10, 64 << 10, 1 << 20} {
		data := noise(7, n)
		run := func(name string, sum func([]byte) [32]byte) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					sum(data)
				}
			})
		}
		run("lanes", Sum256)
		run("zeebo", blake3.Sum256)
	}
}

// BenchmarkSums hashes what a DATA frame brings: chunks of 8 to 24 KiB, or files of some hundred bytes.
func BenchmarkSums(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	data := noise(8, 256<<10)
	for _, mean := range []uint32{512, 4 << 10, 16 << 10} {
		var lens []uint32
		for left := uint32(len(data)); left > 2*mean; left -= lens[len(lens)-1] {
			lens = append(lens, mean/2+rng.Uint32N(mean))
		}
		out := make([][32]byte, len(lens))
		var size int64
		for _, n := range lens {
			size += int64(n)
		}
		run := func(name string, sums func([][32]byte, []byte, []uint32)) {
			b.Run(fmt.Sprintf("%s/%d", name, mean), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					sums(out, data, lens)
				}
			})
		}
		run("lanes", Sums[[32]byte])
		run("zeebo", sumEach[[32]byte])
	}
}

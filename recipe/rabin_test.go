package recipe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/restic/chunker"
)

// resticCuts returns the lengths of the chunks that restic/chunker makes of data.
func resticCuts(t testing.TB, data []byte, p Profile) (lens []int) {
	t.Helper()
	c := chunker.NewWithBoundaries(bytes.NewReader(data), chunker.Pol(p.Polynomial), uint(p.Min), uint(p.Max))
	c.SetAverageBits(int(p.AvgBits))
	var buf []byte
	for {
		chunk, err := c.Next(buf)
		if errors.Is(err, io.EOF) {
			return lens
		}
		if err != nil {
			t.Fatal(err)
		}
		lens = append(lens, int(chunk.Length))
		buf = chunk.Data
	}
}

func cutterCuts(c *Cutter, data []byte) (lens []int) {
	for len(data) > 0 {
		n := c.Next(data)
		lens = append(lens, n)
		data = data[n:]
	}
	return lens
}

// sampleData returns n bytes of one of several characters, from constant to random.
func sampleData(rng *rand.Rand, character string, n int) []byte {
	data := make([]byte, n)
	switch character {
	case "random":
		fillRandom(rng, data)
	case "constant":
		for i := range data {
			data[i] = 0xA5
		}
	case "low entropy":
		for i := range data {
			data[i] = "ab"[rng.IntN(2)]
		}
	case "repetitive":
		period := make([]byte, 1+rng.IntN(100_000))
		fillRandom(rng, period)
		for i := range data {
			data[i] = period[i%len(period)]
		}
	case "mostly zero":
		for range n / 5000 {
			data[rng.IntN(n)] = byte(rng.Uint32())
		}
	}
	return data
}

var sampleCharacters = []string{"random", "constant", "low entropy", "repetitive", "mostly zero"}

func fillRandom(rng *rand.Rand, data []byte) {
	var word [8]byte
	for len(data) > 0 {
		binary.LittleEndian.PutUint64(word[:], rng.Uint64())
		data = data[copy(data, word[:]):]
	}
}

func TestCutterIsResticTwin(t *testing.T) {
	profiles := []Profile{
		Rabin16,
		{Name: "fine", Polynomial: Rabin16.Polynomial, Min: 512, AvgBits: 9, Max: 4 << 10},
		{Name: "smallest", Polynomial: Rabin16.Polynomial, Min: 64, AvgBits: 6, Max: 5000},
		{Name: "large", Polynomial: Rabin16.Polynomial, Min: 100_001, AvgBits: 17, Max: 700_003},
	}
	sizes := []int{0, 1, 63, 64, 65, 8191, 8192, 8193, 8193 + laneBlock, 65535, 65536, 65537, 131072, 1_500_007}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, p := range profiles {
		c, err := NewCutter(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, character := range sampleCharacters {
			for _, size := range sizes {
				data := sampleData(rng, character, size)
				compareCuts(t, p.Name+" "+character, cutterCuts(c, data), resticCuts(t, data, p))
			}
		}
	}
}

func compareCuts(t *testing.T, what string, got, want []int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d chunks, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: chunk %d has %d bytes, want %d", what, i, got[i], want[i])
		}
	}
}

func TestNewCutterRefuses(t *testing.T) {
	for name, change := range map[string]func(*Profile){
		"min below the window": func(p *Profile) { p.Min = 63 },
		"max below min":        func(p *Profile) { p.Max = p.Min - 1 },
		"max over the limit":   func(p *Profile) { p.Max = MaxChunk + 1 },
		"no average":           func(p *Profile) { p.AvgBits = 0 },
		"unknown polynomial":   func(p *Profile) { p.Polynomial++ },
	} {
		p := Rabin16
		change(&p)
		if _, err := NewCutter(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzCutter holds Cutter against restic/chunker.
func FuzzCutter(f *testing.F) {
	f.Add([]byte("some text, repeated until it is long enough"), uint32(9000))
	f.Add([]byte{0}, uint32(200_000))
	f.Fuzz(func(t *testing.T, period []byte, n uint32) {
		if len(period) == 0 {
			return
		}
		data := bytes.Repeat(period, 1+int(n%500_000)/len(period))
		c, err := NewCutter(Rabin16)
		if err != nil {
			t.Fatal(err)
		}
		compareCuts(t, "fuzz", cutterCuts(c, data), resticCuts(t, data, Rabin16))
	})
}

const benchSize = 32 << 20

func benchData() []byte {
	return sampleData(rand.New(rand.NewPCG(3, 4)), "random", benchSize)
}

func BenchmarkCutter(b *testing.B) {
	data := benchData()
	c, _ := NewCutter(Rabin16)
	b.SetBytes(benchSize)
	for b.Loop() {
		cutterCuts(c, data)
	}
}

func BenchmarkCutterRestic(b *testing.B) {
	data := benchData()
	b.SetBytes(benchSize)
	for b.Loop() {
		resticCuts(b, data, Rabin16)
	}
}

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdGrow makes a tree: one file of some MB and many small ones, with contents that depend on the seed.
func cmdGrow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: grow DIR SEED")
	}
	dir := ts.MkAbs(args[0])
	var key [32]byte
	copy(key[:], args[1])
	rng := rand.NewChaCha8(key)
	for i := range 400 {
		size := 500 + 50*i
		if i == 7 {
			size = 30 << 20
		}
		data := make([]byte, size)
		rng.Read(data)
		path := filepath.Join(dir, fmt.Sprintf("d%d", i%13), fmt.Sprintf("f%d", i))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, data, 0o644))
	}
}

// cmdKill runs dfetch again and again and ends it with SIGKILL at a random moment: somewhere between
// its start and the time that an undisturbed run takes.
func cmdKill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: killget TIMES SEED ARG...")
	}
	times, err := strconv.Atoi(args[0])
	ts.Check(err)
	seed, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range times {
		cmd := dfetch(ts, args[2:]...)
		ts.Check(cmd.Start())
		time.AfterFunc(time.Duration(rng.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
		_ = cmd.Wait() // killed, or done before
	}
}

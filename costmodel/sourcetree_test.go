package costmodel

import (
	"math/rand/v2"
	"testing"
)

// With many source directories the sum is an approximation: never more than all wanted chunks, never
// less than a fifth (common middles are missed) or more than three times what each directory gives by
// itself.
func TestNearOfManyDirectories(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	s := newSourceDirs()
	var all [][]uint64
	for range 400 {
		d := append([]uint64{1}, randomDirs(rng)...)
		d = append(d, 1000+rng.Uint64N(200)) // ends that few share
		all = append(all, d)
		s.want(s.add(d, d), 10)
	}
	if len(s.direct) <= exactDirs {
		t.Fatal("too few directories")
	}
	for range 200 {
		from := all[rng.IntN(len(all))]
		dir := append([]uint64{}, from...)
		dir[rng.IntN(len(dir))] = 7777
		exact, best := 0.0, 0.0
		for _, d := range all {
			p := Commonality(d, dir)
			exact += 10 * p
			best = max(best, p)
		}
		sum, top := s.near(dir, 0)
		if sum > s.wanted || sum < exact/5 || sum > 3*exact || top > best*1.6 || top < best/3 {
			t.Errorf("%v: sum %v, each by itself %v; best %v, each %v", dir, sum, exact, top, best)
		}
	}
}

// What has arrived no longer attracts.
func TestNearForgetsWhatArrived(t *testing.T) {
	s := newSourceDirs()
	var nodes []uint32
	for i := range uint64(100) {
		nodes = append(nodes, s.add([]uint64{1, 2, i + 10}, make([]uint64, 3)))
		s.want(nodes[i], 5)
	}
	for _, n := range nodes {
		s.want(n, -5)
	}
	if sum, _ := s.near([]uint64{1, 2, 30}, 0); sum > 1e-3 {
		t.Errorf("sum %v when nothing is wanted", sum)
	}
}

// Every source is found by the keys it shares with a candidate, unless too many share the key.
func TestJoins(t *testing.T) {
	var j joins
	const n = 5000
	for i := range uint64(n) {
		keys := [joinKeys]uint64{joinName: i + 1, joinSize: 1}
		j.add(&keys)
	}
	buf := make([]uint32, 0, maxFound)
	for i := range uint64(n) {
		if got := j.find(buf, joinName, i+1); len(got) != 1 || got[0] != uint32(i) {
			t.Fatalf("%d: found %v", i, got)
		}
	}
	if got := j.find(buf, joinSize, 1); len(got) != maxJoined {
		t.Errorf("%d of a common key, want %d", len(got), maxJoined)
	}
	if got := j.find(buf, joinTail1, 1); len(got) != 0 {
		t.Errorf("found %v under another key", got)
	}
}

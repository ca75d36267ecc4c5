package netlab

import (
	"runtime"
	"sync"
)

// spare counts the scheduler slots (GOMAXPROCS) added for engines. An engine
// keeps a slot while packets flow and needs one at once when it wakes from a
// longer wait; the slots added leave the others to the program.
var spare struct {
	sync.Mutex
	added, before int
}

func reserveProcs(n int) {
	spare.Lock()
	defer spare.Unlock()
	if spare.added == 0 {
		spare.before = runtime.GOMAXPROCS(0)
	}
	spare.added += n
	if spare.added == 0 {
		runtime.GOMAXPROCS(spare.before)
		return
	}
	runtime.GOMAXPROCS(spare.before + spare.added)
}

func releaseProcs(n int) { reserveProcs(-n) }

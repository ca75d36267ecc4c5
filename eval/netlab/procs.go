package netlab

import (
	"runtime"
	"sync"
)

// spare counts the scheduler slots (GOMAXPROCS) added for engines. An engine
// sleeps in system calls, and a goroutine that wakes from one waits if all slots
// are taken; with a slot each, engines are never late for that reason.
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

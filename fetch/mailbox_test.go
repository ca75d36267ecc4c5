package fetch

import (
	"testing"
	"testing/synctest"
	"time"
)

// An outbox tells of events together, after a while at the latest, and at once when it is told to.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newMailbox()
		got := func() int {
			synctest.Wait()
			return len(box.take(nil))
		}
		out := outbox{mail: box}
		out.note()
		time.Sleep(2 * flushAfter)
		if n := got(); n != 0 {
			t.Errorf("%d events of nothing", n)
		}
		for range 2 { // it goes on after it has told
			out.note(Event{}, Event{})
			time.Sleep(flushAfter - time.Nanosecond)
			out.note(Event{})
			if n := got(); n != 0 {
				t.Errorf("%d events before their time", n)
			}
			time.Sleep(time.Nanosecond)
			if n := got(); n != 3 {
				t.Errorf("%d events, want 3", n)
			}
		}
		out.note(Event{})
		out.tell()
		if n := got(); n != 1 {
			t.Errorf("%d events were told of at once, want 1", n)
		}
		time.Sleep(2 * flushAfter)
		if n := got(); n != 0 {
			t.Errorf("%d events for the second time", n)
		}
		out.note(Event{})
		time.Sleep(flushAfter / 2)
		out.tell()
		got()
		out.note(Event{}) // it waits as long as any other
		time.Sleep(flushAfter - time.Nanosecond)
		if n := got(); n != 0 {
			t.Errorf("%d events at the time of those before", n)
		}
		time.Sleep(time.Nanosecond)
		if n := got(); n != 1 {
			t.Errorf("%d events in the end, want 1", n)
		}
	})
}

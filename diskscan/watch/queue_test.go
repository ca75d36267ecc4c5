package watch

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// begin is when the tests begin.
var begin = time.Unix(1_000_000, 0)

// at is a time of a test, in seconds from its beginning.
func at(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }

// swept is a queue whose first listing of everything ended at 0.
func swept(cfg QueueConfig) *Queue {
	q := NewQueue(cfg)
	q.EndSweep(begin, time.Second)
	return q
}

func wantTaken(t *testing.T, q *Queue, now time.Time, want ...string) {
	t.Helper()
	if got := q.Take(now, 10); !slices.Equal(got, want) {
		t.Errorf("at %v: took %q, want %q", now.Sub(begin), got, want)
	}
}

func TestSweepFirstAndEvery(t *testing.T) {
	q := NewQueue(QueueConfig{})
	if !q.SweepDue(begin) {
		t.Error("nothing is due at the start")
	}
	q.Note("/a", begin)
	q.BeginSweep()
	q.EndSweep(at(1), time.Second)
	wantTaken(t, q, at(1000)) // the listing had it
	if q.SweepDue(at(3600)) || !q.SweepDue(at(3601)) {
		t.Error("the next listing of everything is not an hour later")
	}
}

// A listing of everything is not made again for ten times as long as it took, whatever is lost, but each hour.
func TestSweepsTakeATenth(t *testing.T) {
	q := NewQueue(QueueConfig{})
	q.BeginSweep()
	q.EndSweep(at(100), 100*time.Second)
	q.NoteAll(at(101))
	if q.SweepDue(at(1099)) || !q.SweepDue(at(1100)) {
		t.Errorf("next at %v", q.Next().Sub(begin))
	}
	q.BeginSweep()
	q.EndSweep(at(2000), time.Second)
	q.NoteAll(at(2100))
	if q.SweepDue(at(2102)) || !q.SweepDue(at(2103)) {
		t.Errorf("after a short one: next at %v", q.Next().Sub(begin))
	}
	q.BeginSweep()
	q.EndSweep(at(10_000), 7000*time.Second)
	q.NoteAll(at(10_001))
	if q.SweepDue(at(13_599)) || !q.SweepDue(at(13_600)) {
		t.Errorf("after a long one: next at %v", q.Next().Sub(begin))
	}
}

// What is known to have changed is read though more may have.
func TestLostKeepsWhatIsKnown(t *testing.T) {
	q := NewQueue(QueueConfig{})
	q.EndSweep(begin, 100*time.Second)
	q.Note("/a", at(1))
	q.NoteAll(at(2))
	wantTaken(t, q, at(4), "/a")
}

// How soon a directory changes again counts from the end of the reading.
func TestReadingMayTakeLong(t *testing.T) {
	q := swept(QueueConfig{})
	q.Note("/a", at(1))
	wantTaken(t, q, at(4), "/a")
	q.EndRead(at(300))
	q.Note("/a", at(310))
	wantTaken(t, q, at(315.9))
	wantTaken(t, q, at(316), "/a")
}

// What is lost while everything is listed, is not known to be in that.
func TestLostDuringASweep(t *testing.T) {
	q := NewQueue(QueueConfig{})
	q.BeginSweep()
	q.NoteAll(at(5))
	q.EndSweep(at(10), 10*time.Second)
	if q.SweepDue(at(109)) || !q.SweepDue(at(110)) || !q.NextSweep().Equal(at(110)) {
		t.Errorf("next at %v, want 110 s", q.Next().Sub(begin))
	}
	q.BeginSweep()
	q.EndSweep(at(120), 10*time.Second)
	if q.SweepDue(at(3719)) || !q.SweepDue(at(3720)) {
		t.Errorf("then at %v, want an hour later", q.Next().Sub(begin))
	}
}

func TestQuietDirectoriesAreRead(t *testing.T) {
	q := swept(QueueConfig{})
	q.Note("/a", at(1))
	q.Note("/b", at(2))
	q.Note("/a", at(3))
	wantTaken(t, q, at(4.9))
	if next := q.Next(); !next.Equal(at(5)) {
		t.Errorf("next at %v, want 5 s", next.Sub(begin))
	}
	wantTaken(t, q, at(7), "/b", "/a")
	if wantTaken(t, q, at(8)); !q.Idle() {
		t.Error("not idle")
	}
}

func TestOneThatKeepsChangingIsRead(t *testing.T) {
	q := swept(QueueConfig{})
	read := 0
	for s := range 31 {
		q.Note("/log", at(float64(s)))
		read += len(q.Take(at(float64(s)), 10))
	}
	if read != 1 {
		t.Errorf("read %d times in 30 s, want once", read)
	}
	q = swept(QueueConfig{MaxQuiet: 20 * time.Second})
	for s := range 20 {
		q.Note("/log", at(float64(s)))
	}
	wantTaken(t, q, at(19.9))
	wantTaken(t, q, at(20), "/log")
}

// Each time a directory changes again soon after it was read, it must be quiet for twice as long; after a long pause it
// is as any other.
func TestPatienceGrows(t *testing.T) {
	q := swept(QueueConfig{})
	now := 0.0
	for _, quiet := range []float64{3, 6, 12, 24, 48, 96, 192, 384, 600, 600} {
		q.Note("/a", at(now))
		wantTaken(t, q, at(now+quiet-0.1))
		wantTaken(t, q, at(now+quiet), "/a")
		now += quiet + 1
	}
	now += 6001
	q.Note("/a", at(now))
	wantTaken(t, q, at(now+3), "/a")
	if q.Take(at(now+1e5), 1); len(q.read) != 0 {
		t.Errorf("%d readings are kept for ever", len(q.read))
	}
}

func TestTakeIsBounded(t *testing.T) {
	q := swept(QueueConfig{})
	for i := range 5 {
		q.Note(fmt.Sprint(i), at(float64(9-i)))
	}
	if got := q.Take(at(20), 2); !slices.Equal(got, []string{"4", "3"}) {
		t.Errorf("took %q, want those due first", got)
	}
	if got := q.Take(at(20), 9); !slices.Equal(got, []string{"2", "1", "0"}) {
		t.Errorf("then %q, want the rest", got)
	}
}

func TestMoreChangesThanAreKept(t *testing.T) {
	q := swept(QueueConfig{})
	for i := range maxDirty + 1 {
		q.Note(fmt.Sprint(i), at(20))
	}
	if !q.Idle() || q.SweepDue(at(22)) || !q.SweepDue(at(23)) {
		t.Errorf("%d directories are kept, everything is listed at %v", len(q.dirty), q.Next().Sub(begin))
	}
}

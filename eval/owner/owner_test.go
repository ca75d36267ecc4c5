package owner

import (
	"os"
	"testing"
)

func TestNamesAreReadBack(t *testing.T) {
	o := Owner{12, "345", "9af0"}
	for _, rest := range []string{"1-r1", "x", "-"} {
		if got, ok := Parse("netlab", o.Name("netlab", rest)); !ok || got != o {
			t.Errorf("%q: %+v, %v", rest, got, ok)
		}
	}
	for _, name := range []string{"", "r1", "netlab-x-1-b-1-s", "netlab-0-1-b-1-s", "netlab-1-1-b", "netlab-1-1-b-", "other-1-1-b-1-s"} {
		if _, ok := Parse("netlab", name); ok {
			t.Errorf("%q was taken for a lab's", name)
		}
	}
}

func TestOnlyTheLivingIsAlive(t *testing.T) {
	me, err := Self()
	if err != nil || me.PID != os.Getpid() {
		t.Fatal(me, err)
	}
	older, otherBoot := me, me
	older.Start, otherBoot.Boot = "1", "zzzz"
	for o, want := range map[Owner]bool{me: true, older: false, otherBoot: false, {PID: 1 << 30, Start: me.Start, Boot: me.Boot}: false} {
		if got, err := o.Alive(); got != want || err != nil {
			t.Errorf("%+v: alive %v, %v", o, got, err)
		}
	}
}

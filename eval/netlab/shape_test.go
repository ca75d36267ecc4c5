package netlab

import (
	"strings"
	"testing"
	"time"
)

func TestShapeWith(t *testing.T) {
	got, err := Shape{Rate: 1, Delay: time.Second}.With(
		"rate=1.544M jitter=5ms reorder=1% hold=2ms loss=0.5 burst=8 badloss=50 goodloss=0.1% queue=64K")
	want := Shape{Rate: 1_544_000, Delay: time.Second, Jitter: 5 * ms, Reorder: 0.01, Hold: 2 * ms,
		Loss: 0.005, Burst: 8, BadLoss: 0.5, GoodLoss: 0.001, Queue: 65536}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestShapeWithNamesWhatIsWrong(t *testing.T) {
	for _, list := range []string{"rate", "rate=fast", "rate=-1", "speed=1M", "delay=5", "loss=x", "queue=", "rate=1E300", "rate=0.4", "queue=0.3"} {
		if _, err := (Shape{}).With(list); err == nil || !strings.Contains(err.Error(), list) {
			t.Errorf("%q: error %v does not name it", list, err)
		}
	}
}

func TestValidateNamesDirectionAndSetting(t *testing.T) {
	for _, c := range []struct {
		word  string
		shape Shape
	}{
		{"loss", Shape{Loss: 1.1}}, {"reorder", Shape{Reorder: -1}}, {"rate", Shape{Rate: -1}},
		{"delay", Shape{Delay: -1}}, {"jitter", Shape{Jitter: time.Hour}}, {"queue", Shape{Queue: -1}},
		{"burst", Shape{Burst: 0.5}}, {"burst", Shape{Loss: 0.9, Burst: 2}},
		{"goodloss", Shape{Loss: 0.01, GoodLoss: 0.02, Burst: 2}},
	} {
		err := Settings{Down: c.shape}.Validate()
		if err == nil || !strings.Contains(err.Error(), "down") || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%+v: error %v names no %q", c.shape, err, c.word)
		}
	}
	if err := Both(Shape{Loss: 0.05, Burst: 10, Rate: 1e9, Delay: time.Second}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestDefaultQueue(t *testing.T) {
	s := Settings{Up: Shape{Rate: 100e6, Delay: 70 * ms}, Down: Shape{Rate: 1e6, Delay: 30 * ms}}.withDefaults()
	if s.Up.Queue != 1_250_000 || s.Down.Queue != 64<<10 {
		t.Errorf("queues %d, %d; want one BDP, 64 KiB", s.Up.Queue, s.Down.Queue)
	}
}

const script = `
# a link that changes
at 1s    rate=5M   # both
at 1s500ms up loss=1 delay=80ms
`

func TestParseScript(t *testing.T) {
	base := Both(Shape{Rate: 20e6, Delay: 10 * ms})
	got, err := ParseScript(base, strings.Replace(script, "1s500ms", "1.5s", 1))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	want := base
	want.Up.Rate, want.Down.Rate = 5e6, 5e6
	if got[0] != (Step{time.Second, want}) {
		t.Errorf("first step %+v", got[0])
	}
	want.Up.Loss, want.Up.Delay = 0.01, 80*ms
	if got[1] != (Step{1500 * ms, want}) {
		t.Errorf("second step %+v", got[1])
	}
}

func TestParseScriptNamesTheLine(t *testing.T) {
	for _, text := range []string{"5s rate=1M", "at x rate=1M", "at 1s sideways rate=1M", "at 1s rate=1M\nat 0s rate=2M",
		"at -1s rate=1M", "at 1s loss=200", "at 1s both rate", "at 1s"} {
		if _, err := ParseScript(Settings{}, text); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add(script)
	f.Add("at 1s down queue=1T burst=2 loss=99")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := ParseScript(Settings{}, text)
		if err != nil {
			return
		}
		for i, s := range steps {
			if err := s.Settings.Validate(); err != nil || s.At < 0 || i > 0 && s.At < steps[i-1].At {
				t.Fatalf("step %d of %q: %+v, %v", i, text, s, err)
			}
		}
	})
}

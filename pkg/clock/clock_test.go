package clock

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
)

func open(t *testing.T) *Clock {
	telemetrytest.Record()
	c, stop := New(Config{MaxSkew: 30 * time.Second})
	t.Cleanup(stop)
	return c
}

// Skew is what neither the network nor the witness's resolution can explain.
func TestSkew(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name   string
		theirs time.Duration // from when it was asked
		took   time.Duration
		skew   float64 // seconds
		wrong  bool
	}{
		{"the same", 0, 0, 0, false},
		{"within its resolution", -time.Second, 0, 0, false},
		{"answered late", 8 * time.Second, 10 * time.Second, 0, false},
		{"this process slept for an hour before it read the answer", 0, time.Hour, 0, false},
		{"ahead, within the bound", -31 * time.Second, 0, 30, false},
		{"ahead", -32 * time.Second, 0, 31, true},
		{"behind, within the bound", 40 * time.Second, 10 * time.Second, -30, false},
		{"behind", 41 * time.Second, 10 * time.Second, -31, true},
		{"half an hour ahead", -30*time.Minute - time.Second, time.Second, 1800, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := open(t)
			c.Heard(Gateway, now.Add(tc.theirs), time.Second, now, now.Add(tc.took))
			if err := c.Err(); (err != nil) != tc.wrong || err != nil && fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("%v", err)
			}
			if got, _ := telemetrytest.Gauge(t, telemetry.ClockSkew, ""); got != tc.skew {
				t.Errorf("the metric says %v s, want %v", got, tc.skew)
			}
			c.Heard(Gateway, now, time.Second, now, now)
			if err := c.Err(); err != nil {
				t.Errorf("mended: %v", err)
			}
		})
	}
}

// No fact lies in the future of a witness, and a clock that is behind is not put forward.
func TestNowIsNotInTheFuture(t *testing.T) {
	c := open(t)
	at := time.Now()
	c.now = func() time.Time { return at }
	for _, tc := range []struct{ theirs, off time.Duration }{
		{-30 * time.Minute, -30 * time.Minute}, {-10 * time.Second, 0}, {30 * time.Minute, 0},
	} {
		c.Heard(Redis, at.Add(tc.theirs), 0, at, at)
		if got := c.Now().Sub(at); got != tc.off {
			t.Errorf("Redis %s: this clock is taken for %s of what it says, want %s", tc.theirs, got, tc.off)
		}
	}
}

// A record from the future is told, and decides nothing: which of the two clocks is wrong it does not show.
func TestARecordFromTheFutureOnlyWarns(t *testing.T) {
	c := open(t)
	at := time.Now()
	c.now = func() time.Time { return at }
	c.Record(at.Add(-time.Hour))
	if got, ok := telemetrytest.Gauge(t, telemetry.ClockSkew, ""); ok {
		t.Errorf("an old record: %v", got)
	}
	c.Record(at.Add(time.Hour))
	c.Heard(Redis, at, 0, at, at)
	if got, _ := telemetrytest.Gauge(t, telemetry.ClockSkew, ""); got != -3600 || c.Err() != nil {
		t.Errorf("%v s, %v", got, c.Err())
	}
}

// A clock is believed after a witness agreed with it, and for two minutes. One that is known to be wrong does not come right by silence.
func TestSilenceSaysNothingOfAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := New(Config{MaxSkew: 30 * time.Second})
		defer stop()
		hear := func(witness string, ahead time.Duration) {
			now := time.Now()
			c.Heard(witness, now.Add(-ahead), 0, now, now)
		}
		believed := func(when string, want bool) {
			t.Helper()
			if err := c.Err(); (err == nil) != want || err != nil && fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("%s: %v", when, err)
			}
		}
		believed("nobody was heard", false)
		hear(Redis, 0)
		believed("Redis agreed", true)
		time.Sleep(fresh) //nolint:forbidigo // inside a bubble: its clock
		believed("Redis is silent", false)
		hear(Gateway, 0)
		believed("the gateway agreed", true)
		hear(Redis, time.Hour)
		time.Sleep(time.Hour) //nolint:forbidigo // inside a bubble: its clock
		believed("both are silent, and Redis differed", false)
		if skew := time.Since(c.Now()); skew != time.Hour {
			t.Errorf("facts are dated by a clock that is %s ahead", time.Hour-skew)
		}
		hear(Gateway, 0)
		believed("the gateway agreed since", true)
		time.Sleep(fresh) //nolint:forbidigo // inside a bubble: its clock
		hear(Redis, 0)
		believed("mended", true)
	})
}

func TestANilClockIsTrusted(t *testing.T) {
	var c *Clock
	c.Heard(Redis, time.Time{}, 0, time.Now(), time.Now())
	c.Record(time.Now().Add(time.Hour))
	if c.Err() != nil || time.Since(c.Now()) > time.Minute {
		t.Errorf("%v, %v", c.Err(), c.Now())
	}
}

func TestConfigNamesTheVariable(t *testing.T) {
	for _, set := range []string{"MAX_CLOCK_SKEW=0s", "MAX_CLOCK_SKEW=11m"} {
		if _, err := config.Load[Config]([]string{set}); err == nil || !strings.HasPrefix(err.Error(), "MAX_CLOCK_SKEW: ") {
			t.Errorf("%s: %v", set, err)
		}
	}
}

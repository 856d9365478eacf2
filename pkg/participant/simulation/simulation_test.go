// Package simulation plays a small troupe, three participants of two instances each, on the real engine through schedules that
// nobody thought of, and reads the whole log afterwards. See README.md.
package simulation

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// schedulesByDefault is how many schedules a plain run plays.
const schedulesByDefault = 400

func TestMain(m *testing.M) {
	flag.Parse()
	out, level := io.Writer(io.Discard), slog.LevelError+1
	if os.Getenv("SIM_LOG") != "" {
		out, level = os.Stderr, slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})))
	set := func(name, value string) {
		given := false
		flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
		if !given {
			_ = flag.Set(name, value)
		}
	}
	set("rapid.checks", strconv.Itoa(schedulesByDefault))
	set("rapid.nofailfile", "true") // the seed is printed
	os.Exit(m.Run())
}

// Any schedule of faults, alone and in pairs, leaves a log that keeps the promises. SIM_SECONDS plays for so long instead.
func TestAnySchedule(t *testing.T) {
	seconds, _ := strconv.Atoi(os.Getenv("SIM_SECONDS"))
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	var played atomic.Int64
	var failed atomic.Bool
	began := time.Now()
	for {
		rapid.Check(t, func(rt *rapid.T) {
			s := anySchedule.Draw(rt, "schedule")
			times := 1
			if failed.Load() {
				times = 20 // the schedule is the same, goroutines are not
			}
			for range times {
				played.Add(1)
				if wrongs := playIn(t, s); len(wrongs) > 0 {
					failed.Store(true)
					rt.Fatalf("broken promises:\n  %s\nschedule:\n%s", strings.Join(wrongs, "\n  "), s)
				}
			}
		})
		if !time.Now().Before(until) {
			break
		}
	}
	t.Logf("%d schedules in %v", played.Load(), time.Since(began).Round(time.Millisecond))
}

// playIn plays a schedule in a bubble of its own.
func playIn(t *testing.T, s schedule) (wrongs []string) {
	synctest.Test(t, func(*testing.T) { wrongs = play(s) })
	return wrongs
}

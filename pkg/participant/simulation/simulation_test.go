// Package simulation plays a small troupe, three participants of two instances each, on the real engine through
// schedules that nobody thought of, and reads the whole log afterwards. See README.md.
package simulation

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// schedulesByDefault is how many schedules a plain run plays.
const schedulesByDefault = 2000

// lanes are how many schedules are played at a time. With a seed there is one, to be played again.
var lanes = runtime.GOMAXPROCS(0)

func TestMain(m *testing.M) {
	flag.Parse()
	out, level := io.Writer(io.Discard), slog.LevelError+1
	if os.Getenv("SIM_LOG") != "" {
		out, level = os.Stderr, slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})))
	checks := schedulesByDefault
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "rapid.checks":
			checks, _ = strconv.Atoi(f.Value.String()) // rapid has parsed it
		case "rapid.seed":
			lanes = 1
		}
	})
	_ = flag.Set("rapid.checks", strconv.Itoa((checks+lanes-1)/lanes))
	_ = flag.Set("rapid.nofailfile", "true") // the seed is printed
	debug.SetGCPercent(400)                  // little is alive, much is made
	os.Exit(m.Run())
}

// Any schedule of faults, alone and in pairs, leaves a log that keeps the promises. SIM_SECONDS plays for so long
// instead.
func TestAnySchedule(t *testing.T) {
	seconds, _ := strconv.Atoi(os.Getenv("SIM_SECONDS"))
	began := time.Now()
	var played, failedAt atomic.Int64
	t.Cleanup(func() {
		if n := failedAt.Load(); n > 0 {
			t.Logf("found after %d schedules", n)
			return
		}
		t.Logf("%d schedules in %v", played.Load(), time.Since(began).Round(time.Millisecond))
	})
	for lane := range lanes {
		t.Run(fmt.Sprintf("lane%d", lane), func(t *testing.T) {
			t.Parallel()
			times := 1
			one := func(rt *rapid.T) {
				s := anySchedule.Draw(rt, "schedule")
				if times == 1 && failedAt.Load() > 0 {
					return // another lane has found something
				}
				for range times {
					n := played.Add(1)
					if wrongs := playIn(t, s, n); len(wrongs) > 0 {
						times = 20 // the schedule is the same when it is played again, the order of goroutines is not
						failedAt.CompareAndSwap(0, n)
						rt.Fatalf("broken promises:\n  %s\nschedule:\n%s", strings.Join(wrongs, "\n  "), s)
					}
				}
			}
			for rapid.Check(t, one); failedAt.Load() == 0 && time.Since(began) < time.Duration(seconds)*time.Second; {
				rapid.Check(t, one)
			}
		})
	}
}

// hangs is how long a schedule may take, which takes some 30 ms.
const hangs = time.Minute

// playIn plays the nth schedule in a bubble of its own.
func playIn(t *testing.T, s schedule, n int64) (wrongs []string) {
	watchdog := time.AfterFunc(hangs, func() { panic(fmt.Sprintf("found after %d schedules: it turns in circles\n%s", n, s)) })
	defer watchdog.Stop()
	synctest.Test(t, func(*testing.T) {
		w := newWorld(s)
		w.play()
		wrongs = w.wrongs
	})
	return wrongs
}

// A fault that waits at a place which no instance passes never strikes, and a restore finds nothing to go back to when
// no apply is seen: nothing else would say so.
func TestEveryPlaceIsPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(schedule{Orders: []plan{{Card: "good"}}, Steps: []step{{Do: "restore", Back: 1}, {Do: "wait", For: time.Second}}})
		w.play()
		for _, place := range slices.Concat(places, sleepy) {
			if place != "" && !w.passed[place] {
				t.Errorf("nobody passes %q", place)
			}
		}
		if len(w.history) < 3 {
			t.Errorf("a restore can go back to %d states of the store", len(w.history))
		}
	})
}

// A store that is taken back into a reset looks like one that went through it, but for its number: a task that takes
// it for whole goes on beside keys of before.
func TestRestoredIntoAReset(t *testing.T) {
	s := schedule{
		Up:     true,
		Orders: []plan{{Card: "good", Slow: latency, Twice: true}, {Card: "good", Slow: latency}},
		Steps: []step{
			{Do: "restore", Part: payment, Back: 5}, {Do: "restore", Part: payment, Place: "ends back", Back: 5},
			{Do: "wait", For: 300 * time.Millisecond},
		},
	}
	for n := range int64(40) {
		if wrongs := playIn(t, s, n); len(wrongs) > 0 {
			t.Fatalf("play %d: %s\n%s", n, strings.Join(wrongs, "\n"), s)
		}
	}
}

// Two deadlines pass at once where only one of the orders is in memory: to load the other must not lose the first.
func TestDeadlinesOfOrdersInAndOutOfMemory(t *testing.T) {
	s := schedule{
		Up: true,
		Orders: []plan{
			{Card: "good", Slow: 6 * time.Second, Poison: poison{Part: mail, Kind: "Refunded", How: "panic"}},
			{Card: "good", Slow: latency, Poison: poison{Part: payment, Kind: "Placed", How: "permanent"}},
		},
		Steps: []step{
			{Do: "place", Part: mail, Slot: 4}, {Do: "wait", For: time.Second}, {Do: "duplicate", Part: mail, Slot: 2, For: 4 * time.Second},
			{Do: "rebalance", Slot: 4, For: 2 * time.Millisecond},
		},
	}
	for n := range int64(20) {
		if wrongs := playIn(t, s, n); len(wrongs) > 0 {
			t.Fatalf("play %d: %s\n%s", n, strings.Join(wrongs, "\n"), s)
		}
	}
}

// A second copy of what order answers with nothing waits behind a letter for nothing, when the store has forgotten the
// first one, which lies before the letter: every second time that this schedule is played.
func TestACopyWaitsForNothing(t *testing.T) {
	ms := time.Millisecond
	s := schedule{Up: true, Orders: []plan{
		{Card: "good", Cancel: 7 * ms, Twice: true, Slow: ms, Poison: poison{Part: order, How: "garbage"}},
		{Card: "good", Cancel: ms, Slow: ms},
		{Card: "good", Cancel: 7 * ms, Slow: ms, Poison: poison{order, requested, "panic"}},
	}, Steps: []step{
		{Do: "redrive", Part: order, Slot: 1, For: 2 * ms},
		{Do: "produceDropped", Part: order, For: 3 * time.Second, Back: 3, Next: []step{
			{Do: "flush", Part: order, Slot: 1, Place: "commit back", Skip: 1, For: 12 * time.Second, Back: 3},
		}},
		{Do: "wait", For: 20 * ms}, {Do: "place", For: time.Second}, {Do: "place", For: 300 * ms}, {Do: "wait", For: 2 * ms},
		{Do: "duplicate", Part: order, Slot: 3, For: 20 * ms}, {Do: "appendLate", Part: mail, Slot: 5, For: 4 * time.Second},
		{Do: "wait", For: 300 * ms}, {Do: "rebalance", Part: mail, Slot: 3, For: 300 * ms},
		{Do: "rebalance", Part: payment, Slot: 4, For: 2 * ms},
	}}
	for n := range int64(20) {
		if wrongs := playIn(t, s, n); len(wrongs) > 0 {
			t.Fatal(wrongs)
		}
	}
}

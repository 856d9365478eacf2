package schedule_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
)

func plan() schedule.Plan {
	services := []string{"order", "payment", "notification", "query"}
	return schedule.Plan{Services: services, Writers: services[:3], Instances: 2, Session: 3 * time.Second, Points: []schedule.Point{
		{Name: "after-apply", Services: services}, {Name: "after-charge", Services: []string{"payment"}},
	}}
}

func TestTheSameSeedIsTheSameSchedule(t *testing.T) {
	a, b := plan().Make(7), plan().Make(7)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("seed 7 makes\n%v\nand\n%v", a, b)
	}
	if c := plan().Make(8); reflect.DeepEqual(a, c) {
		t.Error("seeds 7 and 8 make the same")
	}
}

func TestEverythingIsInEverySchedule(t *testing.T) {
	for seed := range uint64(50) {
		p := plan()
		p.Rounds = 2
		times := map[string]int{}
		instances := map[string]bool{}
		var last time.Duration
		for _, f := range p.Make(seed) {
			times[f.Key()]++
			instances[f.Target] = true
			if f.At < last {
				t.Errorf("seed %d: %s after one at %s", seed, f, last)
			}
			last = f.At
			if times["topics-anew"] > 0 && f.Class != schedule.Anew {
				t.Errorf("seed %d: %s after the topics were made anew", seed, f)
			}
			if f.Class == schedule.Pause && f.Length <= p.Session {
				t.Errorf("seed %d: %s, and the session lasts %s", seed, f, p.Session)
			}
			if f.Class == schedule.Pair && (f.Parts[0].At != 0 || f.Parts[1].At > time.Second) {
				t.Errorf("seed %d: %s: not within a second", seed, f)
			}
		}
		for key, n := range map[string]int{
			"crash:after-apply:order": 2, "crash:after-apply:query": 2, "crash:after-charge:payment": 2, "crash:after-charge:order": 0,
			"kill": 8, "pause": 8, "rolling-restart": 8, "leave-and-join": 8, "broker-restart": 2, "leader-move": 4, "redis-flush": 4,
			"redis-restart": 2, "redis-outage": 2, "redis-restore": 2, "redis-silent": 2, "clock-skew": 2, "topics-anew": 1, "late-append": 2, "answer-lost": 2, "produce-error": 2,
			"gateway-outage": 2, "gateway-refusing": 2, "gateway-pending": 2, "mail-deferring": 2, "gateway-flapping": 2, "mail-outage": 2, "copies": 4, "poison": 4, "redrive": 2, "oversize": 2, "rebuild": 2,
			"pair:kill+redis-flush": 2, "pair:pause+redis-flush": 2, "pair:late-append+redis-flush": 2, "pair:late-append+redis-restore": 2,
			"pair:kill+redis-restore": 2, "pair:pause+late-append": 2, "pair:redis-flush+redis-restore": 2, "pair:kill+late-append": 2,
		} {
			if times[key] != n {
				t.Errorf("seed %d: %s is there %d times, not %d", seed, key, times[key], n)
			}
		}
	}
}

func TestOnlyWhatIsWantedAndPossible(t *testing.T) {
	p := plan()
	p.Only = []string{"kill", "crash:after-apply:payment", "pair"}
	p.Without = []schedule.Class{schedule.Restore}
	keys := map[string]bool{}
	for _, f := range p.Make(1) {
		keys[f.Key()] = true
		if f.Class != schedule.Kill && f.Class != schedule.Pair && f.Key() != "crash:after-apply:payment" {
			t.Errorf("%s is there", f)
		}
		if strings.Contains(f.Key(), "restore") {
			t.Errorf("%s is there, and cannot be done", f)
		}
	}
	if !keys["kill"] || !keys["crash:after-apply:payment"] || !keys["pair:kill+redis-flush"] || len(keys) != 7 {
		t.Errorf("there are %v", keys)
	}
}

// One lane waits for its own faults only: within it they follow each other.
func TestALaneGivesEachFaultItsTime(t *testing.T) {
	byLane := map[string][]schedule.Fault{}
	for _, f := range plan().Make(3) {
		byLane[f.Lane] = append(byLane[f.Lane], f)
	}
	if len(byLane) != 5 {
		t.Errorf("there are %d lanes", len(byLane))
	}
	for lane, faults := range byLane {
		for i, f := range faults[1:] {
			if before := faults[i]; f.At < before.At+before.Length {
				t.Errorf("%s: %s begins before %s is over", lane, f, before)
			}
		}
	}
	if !slices.ContainsFunc(byLane["stores"], func(f schedule.Fault) bool { return f.Class == schedule.Broker }) {
		t.Error("the stores' lane does not strike the broker")
	}
}

package task

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
)

// stub is a handler with nothing of its own.
type stub struct {
	Handler[*stubTask]
	need Need
	full map[string]bool // topics without room
	at   int64           // may be committed
}

type stubTask struct{ *Partition }

func (s *stub) New(p *Partition) *stubTask { return &stubTask{p} }

func (s *stub) Need(*stubTask) Need { return s.need }

func (s *stub) Next(time.Time, func(time.Time)) {}

func (s *stub) Commitable(*stubTask, int) int64 { return s.at }

func (s *stub) Receive(*stubTask, int, broker.Fetched) {}

func (s *stub) Room() func(t *stubTask, input int) bool {
	return func(t *stubTask, input int) bool { return !s.full[t.Inputs[input].Topic] }
}

// stubbed returns an engine with one task.
func stubbed(log broker.Log) (*Engine[*stubTask], *stub, *stubTask) {
	h := &stub{full: map[string]bool{}}
	cfg := Config{Name: "clerk", Log: log, Inputs: []string{"events", "requests"}, Seldom: []string{"requests"}, Partitions: 1}
	e := NewEngine(context.Background(), New(cfg), nil, func(*Engine[*stubTask]) Handler[*stubTask] { return h })
	t := e.newTask(0)
	t.restoring = false
	e.put(t)
	return e, h, t
}

// What somebody waits for is written at once, however short ago the last was; the rest when it is time.
func TestWhenATaskIsWritten(t *testing.T) {
	for name, tc := range map[string]struct {
		need  Need
		leave bool
		after time.Duration
	}{
		"needed now":       {Now, false, 0},
		"needed soon":      {Soon, false, SoonEvery},
		"the last moments": {Soon, true, 0},
		"nothing to write": {Nothing, false, CompareEvery},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, h, task := stubbed(nil)
				began := time.Now()
				task.compared, e.soonAt = began, began.Add(SoonEvery)
				h.need, e.leaving = tc.need, tc.leave
				for !e.due(task, time.Now()) {
					time.Sleep(e.nap(time.Now())) //nolint:forbidigo // in a synctest bubble
				}
				if after := time.Since(began); after != tc.after {
					t.Errorf("written after %v, not %v", after, tc.after)
				}
			})
		})
	}
}

// A moment that has passed and that nobody acts upon must not keep the engine from sleeping: it would spin until the
// answer comes.
func TestTheEngineSleepsWhileItWaits(t *testing.T) {
	for name, set := range map[string]func(*Engine[*stubTask]){
		"for a commit that takes longer than the time between two": func(e *Engine[*stubTask]) { e.committing = true },
		"for the handler while it leaves":                          func(e *Engine[*stubTask]) { e.leaving = true },
	} {
		t.Run(name, func(t *testing.T) {
			e, _, task := stubbed(nil)
			now := time.Now()
			task.compared, e.commitAt = now, now.Add(-time.Minute)
			set(e)
			if d := e.nap(now); d <= 0 {
				t.Errorf("it naps %v", d)
			}
		})
	}
	e, _, task := stubbed(nil)
	now := time.Now()
	task.compared, e.commitAt = now, now.Add(-time.Minute)
	if d := e.nap(now); d != 0 {
		t.Errorf("with a commit due it naps %v", d)
	}
}

func TestSeldomInputsAreLookedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &brokertest.Asked{Topics: make(chan []string, 1)}
		e, h, _ := stubbed(log)
		fetch := func(want ...string) {
			t.Helper()
			e.fetch(t.Context())
			if got := <-log.Topics; !slices.Equal(got, want) {
				t.Errorf("after %v it asks for %v, not %v", time.Since(e.seldomAt), got, want)
			}
			(<-e.inbox)()
		}
		fetch("events", "requests")
		fetch("events")
		time.Sleep(SeldomEvery - 1) //nolint:forbidigo // in a synctest bubble
		fetch("events")
		time.Sleep(time.Nanosecond) //nolint:forbidigo // in a synctest bubble
		fetch("events", "requests")
		h.full["events"] = true
		fetch("requests") // there is nothing else to ask for
		fetch("requests")
		h.full["events"] = false
		fetch("events")
		e.SeldomNow()
		log.Behind = true
		fetch("events", "requests")
		fetch("events", "requests") // there are more
	})
}

// An input that cannot be read keeps its error until it is read, although most fetches do not ask for it.
func TestAnInputThatCannotBeReadIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &brokertest.Asked{Topics: make(chan []string, 1), Denied: "requests"}
		e, _, task := stubbed(log)
		fetch := func() (topics []string) {
			e.fetch(t.Context())
			topics = <-log.Topics
			(<-e.inbox)()
			return topics
		}
		for range 3 {
			fetch()
			if task.Inputs[0].Err != nil || task.Inputs[1].Err == nil {
				t.Fatal(task.Inputs[0].Err, task.Inputs[1].Err)
			}
		}
		log.Denied = ""
		time.Sleep(SeldomEvery) //nolint:forbidigo // in a synctest bubble
		if !slices.Contains(fetch(), "requests") || task.Inputs[1].Err != nil {
			t.Error(task.Inputs[1].Err)
		}
	})
}

// A position that is not known yet never takes the place of what the group has, which is not known either after a
// commit that failed.
func TestAPositionThatIsNotKnownIsNotCommitted(t *testing.T) {
	e, h, task := stubbed(nil)
	for at, want := range map[int64]int{-1: 0, 0: len(task.Inputs)} {
		h.at = at
		for _, in := range task.Inputs {
			in.committed = unknown
		}
		if got := e.offsets(); len(got) != want {
			t.Errorf("%d: committed %v", at, got)
		}
	}
}

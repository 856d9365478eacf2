package participant_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// doorman is a clerk who hears its own topic, because a door publishes there.
func doorman() participant.Behavior[ledger] {
	b := clerk(stamp)
	b.Subscribes = append(b.Subscribes, participant.Subscription{Topic: participant.FactsTopic(b.Name)})
	return b
}

// first is the fact with which a door opens an order.
func first(order, body string) event.Event {
	data, _ := event.Encode(wrapperspb.Bytes([]byte(body)))
	return event.Event{
		ID: event.MakeID(order, "first"), Type: event.TypeOf(&wrapperspb.BytesValue{}), Source: "clerk", Subject: order, Time: time.Now(),
		Sequence: 1, Data: data,
	}
}

// place is what a service does with its door; it says whether it published.
func place(ctx context.Context, d *admission.Control[ledger], order, body string) (published bool, err error) {
	a, err := d.Admit(ctx, order, body, 3*time.Second)
	switch {
	case err != nil:
		return false, err
	case a.Folded != nil:
		if a.Folded.State.Stamped[0] != body {
			return false, fault.New(fault.Conflict, "other body")
		}
		return false, nil
	case !a.New && !a.SameBody:
		return false, fault.New(fault.Conflict, "other body")
	case !a.New && !a.Published:
		return false, errInFlight
	case !a.New:
		return false, nil
	}
	_, offset, err := d.Publish(ctx, first(order, body))
	if err != nil {
		return false, err
	}
	return true, d.Admitted(ctx, order, body, offset)
}

var errInFlight = errors.New("in flight")

// Row 16: the same request a hundred times at once, again after a wipe, and with another body after a wipe.
func TestDoorAdmitsOnce(t *testing.T) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		d := admission.New(doorman(), s.config())
		var wg sync.WaitGroup
		var mu sync.Mutex
		published := 0
		for range 100 {
			wg.Go(func() {
				ok, err := place(t.Context(), d, "o1", "tea")
				if err != nil && !errors.Is(err, errInFlight) {
					t.Errorf("place: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ok {
					published++
				}
			})
		}
		wg.Wait()
		want(t, "published", published, 1)
		other := admission.New(doorman(), s.config()) // another instance
		for range 2 {
			for _, door := range []*admission.Control[ledger]{d, other} {
				again, err := place(t.Context(), door, "o1", "tea")
				want(t, "published again", again, false)
				want(t, "error", err, nil)
				_, err = place(t.Context(), door, "o1", "coffee")
				want(t, "another body", fault.ClassOf(err), fault.Conflict)
			}
			mini.FlushAll()
		}
		want(t, "records", s.copies("o1"), 1)
		f, ok, err := d.Find(t.Context(), "o1", 3*time.Second)
		want(t, "found", []any{f.State.Stamped, f.Offset, ok, err}, []any{[]string{"tea"}, 0, true, nil})
		_, ok, err = d.Find(t.Context(), "unknown", time.Second)
		want(t, "unknown", []any{ok, err}, []any{false, nil})
	})
}

// A request that was under way when the log was replaced does not bring back what the door knew of the dead one.
func TestAdmittedOfADeadLog(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		d := admission.New(doorman(), s.config())
		a, err := d.Admit(t.Context(), "o1", "tea", 3*time.Second)
		want(t, "admitted", []any{a.New, err}, []any{true, nil})
		_, offset, err := d.Publish(t.Context(), first("o1", "tea"))
		want(t, "published", err, nil)
		s.eventually("folded", func() bool { _, ok, err := d.Find(t.Context(), "o1", 0); return ok && err == nil })
		s.anew(clerkFacts)
		s.eventually("folded anew", func() bool { return len(s.redis.Keys(t.Context(), "*:marker:*").Val()) == 0 && p.Ready() == nil })
		want(t, "told late", d.Admitted(t.Context(), "o1", "tea", offset), nil)
		s.passes(2 * time.Second) // the door asks which log there is
		again, err := place(t.Context(), d, "o1", "tea")
		want(t, "published into the new log", []any{again, err}, []any{true, nil})
	})
}

// The first request ever does not wait until a poll of the empty topics has ended.
func TestDoorOfEmptyTopicsAnswersAtOnce(t *testing.T) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		began := time.Now()
		ok, err := place(t.Context(), admission.New(doorman(), s.config()), "o1", "tea")
		want(t, "published", []any{ok, err}, []any{true, nil})
		if took := time.Since(began); took > 50*time.Millisecond { // on the bubble's clock
			t.Errorf("it took %s", took)
		}
	})
}

// Never a false "unknown": while nobody has folded the partition, the door says that it cannot know.
func TestDoorDoesNotGuess(t *testing.T) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		_, stop := s.play(doorman())
		d := admission.New(doorman(), s.config())
		s.eventually("admitted", func() bool { _, err := place(t.Context(), d, "o1", "tea"); return err == nil })
		stop()
		mini.FlushAll()
		_, _, err := d.Find(t.Context(), "o1", time.Second)
		want(t, "find", fault.ClassOf(err), fault.Unavailable)
		_, err = place(t.Context(), d, "o1", "coffee")
		want(t, "admit", fault.ClassOf(err), fault.Unavailable)
		_, stop = s.play(doorman())
		defer stop()
		s.eventually("folded", func() bool { _, ok, _ := d.Find(t.Context(), "o1", time.Second); return ok })
		// A door that died after it marked an order and before it published: the retry goes through when the marker lapsed.
		if a, err := d.Admit(t.Context(), "o2", "tea", time.Second); err != nil || !a.New {
			t.Fatalf("admit o2: %+v %v", a, err)
		}
		_, err = place(t.Context(), d, "o2", "tea")
		want(t, "while in flight", err, errInFlight)
		s.eventually("lapsed", func() bool { ok, _ := place(t.Context(), d, "o2", "tea"); return ok })
		want(t, "records", s.copies("o2"), 1)
	})
}

// What another release keeps cannot be read here. Until its instance is gone nobody knows whether an order is there.
func TestDoorDoesNotReadWhatAnotherReleaseKeeps(t *testing.T) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		d := admission.New(doorman(), s.config())
		if _, err := place(t.Context(), d, "o1", "tea"); err != nil {
			t.Fatal(err)
		}
		s.eventually("folded", func() bool { _, ok, _ := d.Find(t.Context(), "o1", time.Second); return ok })
		s.redis.HSet(t.Context(), key("o1", "meta"), "fold_version", "another")
		_, _, err := d.Find(t.Context(), "o1", time.Second)
		want(t, "class", fault.ClassOf(err), fault.Unavailable)
	})
}

// slowEnds is a log that takes a while to say where it ends, and then says where that was when it was asked.
type slowEnds struct {
	broker.Log
	mu        sync.Mutex
	now, most int // how many ask at once
}

func (l *slowEnds) Ends(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	l.mu.Lock()
	l.now++
	l.most = max(l.most, l.now)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now--
	}()
	ends, err := l.Log.Ends(ctx, logs)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		err = ctx.Err()
	}
	return ends, err
}

// Each request that gives up on a slow broker would cost a connection, so one is under way at a time. What it says
// counts for nobody who came after it had begun.
func TestDoorAsksForAnEndOnceAtATime(t *testing.T) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		p, stop := s.play(doorman())
		s.eventually("ready", func() bool { return p.Ready() == nil })
		stop() // what is folded stays as it is
		cfg := s.config()
		log := &slowEnds{Log: cfg.Log}
		cfg.Log = log
		d := admission.New(doorman(), cfg)
		var early sync.WaitGroup
		ask := func() {
			early.Go(func() {
				_, ok, err := d.Find(t.Context(), "o1", 3*time.Second)
				want(t, "before it was placed", []any{ok, err}, []any{false, nil})
			})
		}
		for range 100 {
			ask()
		}
		early.Wait()
		want(t, "asked at once", log.most, 1)
		ask()
		synctest.Wait()
		if _, _, err := d.Publish(t.Context(), first("o1", "tea")); err != nil {
			t.Fatal(err)
		}
		_, _, err := d.Find(t.Context(), "o1", 3*time.Second)
		want(t, "after that, and nobody folds it", fault.ClassOf(err), fault.Unavailable)
		early.Wait()
	})
}

// A leader that does not answer keeps the requests of its own partitions waiting, and no others.
func TestDoorOfASilentLeader(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		answers := make(chan struct{})
		silent := at("clerk.events.v1", "o1").Partition
		s.log.OnProduce(func(b broker.Batch) brokertest.Fate {
			if b.Partition == silent {
				<-answers
			}
			return brokertest.Fate{}
		})
		d := admission.New(doorman(), s.config())
		waits := make(chan error, 1)
		go func() { _, err := place(t.Context(), d, "o1", "tea"); waits <- err }()
		pass(time.Second)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := place(ctx, d, "o2", "tea")
		want(t, "another partition", at("clerk.events.v1", "o2").Partition != silent, true)
		want(t, "placed at once", []any{err, time.Since(began) < time.Second}, []any{nil, true})
		close(answers)
		want(t, "placed later", <-waits, nil)
	})
}

package participant_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
)

// exceptional makes one of each: flaky fails three times, effect comes before its cause, poison is parked, and any
// event may come twice.
func exceptional() react {
	flaky := 3
	return func(ctx context.Context, s ledger, m event.Message) (proto.Message, error) {
		switch text(m) {
		case "flaky":
			if flaky--; flaky >= 0 {
				return nil, fault.New(fault.Unavailable, "the stamp of ada@example.com is lent")
			}
		case "effect":
			if !slices.Contains(s.Stamped, "cause") {
				return nil, fault.New(fault.NotYet, "no cause")
			}
		case "poison":
			return nil, fault.New(fault.Permanent, "poisoned")
		}
		return stamp(ctx, s, m)
	}
}

// happen lets one of each exception happen to o1, and waits until all of it is done.
func (s *stage) happen() {
	s.log.Append(at(notes, "o1"), s.hand(notes, "o1", "flaky")) // twice
	s.eventually("flaky is answered", func() bool { return len(s.facts("o1")) == 1 })
	s.hand(mails, "o1", "effect")
	wait()
	s.hand(notes, "o1", "cause")
	s.eventually("effect is answered", func() bool { return len(s.facts("o1")) == 3 })
	s.hand(notes, "o1", "poison")
	s.eventually("poison is parked", func() bool { return len(s.letters("o1")) == 1 })
	s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 4 })
}

func (s *stage) exceptions() (told []string) {
	s.t.Helper()
	for _, r := range s.log.ReadTopic(activity.Topic("clerk")) {
		a, err := activity.Parse(r)
		if err != nil {
			s.t.Fatal(err)
		}
		told = append(told, fmt.Sprintf("%s %s@%d %s %d", a.Kind, a.Topic, a.Offset, a.Reason, a.Attempts))
	}
	return told
}

// telling plays the clerk with its activity on or off.
func telling(t *testing.T, on bool, f func(t *testing.T, s *stage)) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		cfg := s.config()
		cfg.Activity = on
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- participant.New(clerk(exceptional()), cfg).Run(ctx) }()
		f(t, s)
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("leaving took %s", took)
		}
	})
}

func TestExceptionsAreTold(t *testing.T) {
	telling(t, true, func(t *testing.T, s *stage) {
		s.happen()
		s.eventually("told", func() bool { return len(s.exceptions()) >= 5 })
		want(t, "told", s.exceptions(), []string{
			"retried desk.events.v1@0 unavailable 1", "retried desk.events.v1@0 unavailable 2", // the third is not told
			"deduplicated desk.events.v1@1 answered 0", "held post.events.v1@0 not_yet 1", "parked desk.events.v1@3 permanent 0",
		})
		topic := s.log.Topics()[activity.Topic("clerk")]
		want(t, "kept", topic.Retention, 24*time.Hour)
	})
}

func TestNothingIsToldWhenItIsOff(t *testing.T) {
	telling(t, false, func(t *testing.T, s *stage) {
		s.happen()
		wait()
		want(t, "told", len(s.exceptions()), 0)
	})
}

// Kafka refuses the activity, or does not answer at all: the cycle neither notices nor waits when it leaves.
func TestCycleGoesOnWhenActivityCannotBeTold(t *testing.T) {
	for name, fails := range map[string]func() brokertest.Fate{
		"refused": func() brokertest.Fate {
			return brokertest.Fate{Answer: fault.New(fault.Unavailable, "no leader"), Drop: true}
		},
		"unanswered": func() brokertest.Fate { return brokertest.Fate{Hold: make(chan struct{})} },
	} {
		t.Run(name, func(t *testing.T) {
			telling(t, true, func(t *testing.T, s *stage) {
				var tried atomic.Int64
				s.log.OnProduce(func(b broker.Batch) brokertest.Fate {
					if b.Topic != activity.Topic("clerk") {
						return brokertest.Fate{}
					}
					tried.Add(1)
					return fails()
				})
				s.happen()
				began := time.Now()
				for i := range 1500 { // more than is kept to be told
					s.log.Append(at(notes, "o2"), s.hand(notes, "o2", fmt.Sprint(i)))
				}
				s.eventually("the others are answered", func() bool { return s.copies("o2") == 1500 })
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the cycle waited: %s", took)
				}
				want(t, "told", len(s.exceptions()), 0)
				if tried.Load() == 0 {
					t.Error("nothing was tried")
				}
			})
		})
	}
}

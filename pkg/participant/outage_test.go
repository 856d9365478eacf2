package participant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
)

// Waiting out an outage uses up neither the retries of what fails after it nor the time for which a cause is waited
// for.
func TestAnOutageUsesUpNothing(t *testing.T) {
	for name, after := range map[string]error{
		"transient": errors.New("who knows"), "not yet": fault.New(fault.NotYet, "the cause is on its way"),
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				var up atomic.Bool
				failed := false
				b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
					switch {
					case text(m) != "a":
					case !up.Load():
						return nil, fault.New(fault.Unavailable, "the gateway is away")
					case !failed:
						failed = true
						return nil, after
					}
					return stamp(ctx, l, m)
				})
				_, stop := s.play(b)
				defer stop()
				s.hand(notes, "o1", "a")
				pass(transientFor + time.Minute)
				up.Store(true)
				s.hand(mails, "o1", "b")
				s.eventually("both", func() bool { return len(s.facts("o1")) == 2 })
				want(t, "letters", len(s.letters("o1")), 0)
			})
		})
	}
}

// transientFor is longer than what is transient is retried for, and than the stage's HoldLimit.
const transientFor = 2 * time.Minute

// An event is held for as long as HoldLimit says, however often others of its order pass and have it tried again.
func TestHoldEndsAlthoughOthersPass(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if text(m) == "m" {
				return nil, fault.New(fault.NotYet, "its cause never comes")
			}
			return stamp(ctx, l, m)
		})
		_, stop := s.play(b)
		defer stop()
		s.hand(mails, "o1", "m")
		limit := s.config().HoldLimit
		for n := range 5 {
			pass(limit / 4)
			s.hand(notes, "o1", strings.Repeat("a", n+1))
		}
		pass(time.Second)
		want(t, "parked", slices.Contains(s.letters("o1"), event.MakeID(mails, "o1", "m")), true)
	})
}

// reads counts what reads orders of Redis, which answers none of it while silent.
type reads struct {
	n      atomic.Int64
	silent atomic.Bool
}

func (h *reads) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *reads) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *reads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ofOrders := func(c redis.Cmder) bool {
			return c.Name() == "hmget" && strings.Contains(c.Args()[1].(string), ":orders:")
		}
		if slices.ContainsFunc(cmds, ofOrders) {
			if h.n.Add(1); h.silent.Load() {
				<-ctx.Done()
				for _, c := range cmds {
					c.SetErr(ctx.Err())
				}
				return ctx.Err()
			}
		}
		return next(ctx, cmds)
	}
}

// reminded is a clerk that stamps an order's first note, and again a minute later.
func reminded() participant.Behavior[ledger] {
	b := clerk(stamp)
	b.Deadline = func(l ledger) (time.Time, bool) { return l.Until, !l.Until.IsZero() }
	evolve := b.Evolve
	b.Evolve = func(l ledger, fact event.Message) ledger {
		if l = evolve(l, fact); len(l.Stamped) == 1 {
			l.Until = fact.Time.Add(time.Minute).Truncate(time.Millisecond)
		} else {
			l.Until = time.Time{}
		}
		return l
	}
	return b
}

// leaderless is a log of which one partition has no leader for a while, as far as its end is asked for.
type leaderless struct {
	broker.Log
	tp broker.TopicPartition
	on atomic.Bool
}

func (l *leaderless) Ends(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	if l.on.Load() && slices.Contains(logs, l.tp) {
		return nil, fault.New(fault.Unavailable, "%s/%d has no leader", l.tp.Topic, l.tp.Partition)
	}
	return l.Log.Ends(ctx, logs)
}

// A log without a leader holds up the deadlines of its partition alone, and these until it is back.
func TestDeadlinesBesideALogWithoutALeader(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ids, tp := manyOrders(1)
		other := "o2"
		for at(notes, other) == tp {
			other += "x"
		}
		log := &leaderless{Log: s.log, tp: tp}
		_, stop := s.playOn(log, reminded())
		defer stop()
		s.hand(notes, ids[0], "wait")
		s.hand(notes, other, "wait")
		s.eventually("waiting", func() bool { return len(s.facts(ids[0])) == 1 && len(s.facts(other)) == 1 })
		log.on.Store(true)
		pass(90 * time.Second)
		want(t, "facts of the other and of its own", []int{len(s.facts(other)), len(s.facts(ids[0]))}, []int{2, 1})
		log.on.Store(false)
		s.eventually("fired", func() bool { return len(s.facts(ids[0])) == 2 })
	})
}

// A Redis that takes connections and says nothing holds no deadline up for longer than the store may take.
func TestDeadlinesOfASilentStore(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var h reads
		s.redis.(*redis.Client).AddHook(&h)
		b := reminded()
		_, stop := s.play(b)
		s.hand(notes, "o1", "wait")
		s.hand(notes, "o2", "wait")
		s.eventually("waiting", func() bool { return len(s.facts("o1")) == 1 && len(s.facts("o2")) == 1 })
		stop()
		p, stop := s.play(b) // so that nothing is in memory
		defer stop()
		s.eventually("begun", func() bool { return p.Ready() == nil })
		h.silent.Store(true)
		pass(90 * time.Second)
		h.silent.Store(false)
		back := time.Now()
		s.eventually("fired", func() bool { return len(s.facts("o1")) == 2 && len(s.facts("o2")) == 2 })
		want(t, "within what the store may take, and a pause", time.Since(back) < 10*time.Second, true)
	})
}

// The first order that passes after an outage has the others go on, long before their back-offs end; what is still
// unavailable is not asked by all of them at once.
func TestOneThatPassesWakesTheOthers(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var up atomic.Bool
		var asked atomic.Int64
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if asked.Add(1); !up.Load() {
				return nil, fault.New(fault.Unavailable, "the gateway is away")
			}
			return stamp(ctx, l, m)
		}))
		defer stop()
		const orders = 64
		for n := range orders {
			s.hand(notes, fmt.Sprintf("o%d", n), "a")
		}
		answered := func() (n int) {
			for o := range orders {
				n += len(s.facts(fmt.Sprintf("o%d", o)))
			}
			return n
		}
		pass(5 * time.Minute) // until every back-off is at its bound
		before := asked.Load()
		pass(time.Minute)
		want(t, "asked in a minute of the outage, at most", asked.Load()-before <= 4*orders, true)
		up.Store(true)
		s.eventually("the first", func() bool { return answered() > 0 })
		first := time.Now()
		s.eventually("all", func() bool { return answered() == orders })
		want(t, "soon after the first", time.Since(first) < time.Second, true)
	})
}

// An event is not given up while its cause may still come: while the input that the cause may be in cannot be read, or
// is far behind after an outage, and while what came of its order waits for something unavailable.
func TestHoldWaitsForWhatMayBring(t *testing.T) {
	for name, unread := range map[string]bool{"an input that cannot be read": true, "an outage": false} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				var up atomic.Bool
				up.Store(unread)
				log := &unreadable{Log: s.log, topic: notes, err: fault.New(fault.Unavailable, "no leader")}
				b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
					switch {
					case text(m) == "effect" && !slices.Contains(l.Stamped, "cause"):
						return nil, fault.New(fault.NotYet, "its cause is missing")
					case text(m) == "cause" && !up.Load():
						return nil, fault.New(fault.Unavailable, "the mail server is away")
					}
					return stamp(ctx, l, m)
				})
				p, stop := s.playOn(log, b)
				defer stop()
				s.eventually("ready", func() bool { return p.Ready() == nil })
				if log.on.Store(unread); unread {
					s.hand(notes, "o1", "cause")
					pass(time.Second)
				}
				s.hand(mails, "o1", "effect")
				pass(time.Second)
				if !unread { // so that the effect is met first
					s.hand(notes, "o1", "cause")
				}
				pass(2 * s.config().HoldLimit)
				want(t, "letters", len(s.letters("o1")), 0)
				log.on.Store(false)
				up.Store(true)
				s.eventually("both", func() bool { return len(s.facts("o1")) == 2 })
				want(t, "facts", s.facts("o1"), []string{"cause", "effect"})
			})
		})
	}
}

// Idle orders are kept in memory by what they take, not by their number alone: large ones are read again.
func TestLargeOrdersLeaveMemory(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes int
		read  bool
	}{"small": {10, false}, "large": {100 << 10, true}} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				var h reads
				s.redis.(*redis.Client).AddHook(&h)
				_, stop := s.play(clerk(stamp))
				defer stop()
				ids, tp := manyOrders(200) // 20 MB of large ones, where a partition of two may keep 16 MiB
				for _, id := range ids {
					s.hand(notes, id, strings.Repeat("a", tc.bytes))
				}
				s.eventually("first", s.committed(tp))
				before := h.n.Load()
				for _, id := range ids {
					s.hand(notes, id, "b")
				}
				s.eventually("second", s.committed(tp))
				want(t, "read again", h.n.Load() > before, tc.read)
			})
		})
	}
}

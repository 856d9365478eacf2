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
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
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

// silent is a connection to Redis that, while on, answers no reading of orders.
type silent struct{ on atomic.Bool }

func (h *silent) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *silent) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *silent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ofOrders := func(c redis.Cmder) bool {
			return c.Name() == "hmget" && strings.Contains(c.Args()[1].(string), ":orders:")
		}
		if h.on.Load() && slices.ContainsFunc(cmds, ofOrders) {
			<-ctx.Done()
			for _, c := range cmds {
				c.SetErr(ctx.Err())
			}
			return ctx.Err()
		}
		return next(ctx, cmds)
	}
}

// A Redis that takes connections and says nothing holds no deadline up for longer than the store may take.
func TestDeadlinesOfASilentStore(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var h silent
		s.redis.(*redis.Client).AddHook(&h)
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
		_, stop := s.play(b)
		s.hand(notes, "o1", "wait")
		s.hand(notes, "o2", "wait")
		s.eventually("waiting", func() bool { return len(s.facts("o1")) == 1 && len(s.facts("o2")) == 1 })
		stop()
		p, stop := s.play(b) // so that nothing is in memory
		defer stop()
		s.eventually("begun", func() bool { return p.Ready() == nil })
		h.on.Store(true)
		pass(90 * time.Second)
		h.on.Store(false)
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

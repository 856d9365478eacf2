package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// over ends a scene: with an error, because it cannot be played on; without, because a customer who must be answered was not, which is a
// broken promise by itself.
type over struct{ err error }

// play plays a scene. Its steps end it as those of a test end that: they panic, here it is known.
func (s *stage) play(sc scene) (err error) {
	defer func() {
		ended := recover()
		for _, undo := range slices.Backward(s.ends) {
			undo()
		}
		if o, ok := ended.(over); ok {
			err = o.err
		} else if ended != nil {
			panic(ended)
		}
	}()
	sc.Act(s)
	return nil
}

// after is called when the scene is over, the last first.
func (s *stage) after(undo func()) { s.ends = append(s.ends, undo) }

// must ends the scene on an error.
func (s *stage) must(err error) {
	if err != nil {
		panic(over{err})
	}
}

func (s *stage) pause(d time.Duration) {
	if err := wait.Sleep(s.ctx, d); err != nil {
		panic(over{err})
	}
}

func (s *stage) do(process, action string) { s.must(s.Do(s.ctx, process, action)) }

// sleeps pauses a process, which wakes up when the scene is over, if not before.
func (s *stage) sleeps(process string) {
	s.after(func() { _ = s.Control.Do(context.WithoutCancel(s.ctx), process, "resume") })
	s.do(process, "pause")
}

// kill blocks until another process is there.
func (s *stage) kill(process string) { s.must(s.Kill(s.ctx, process)) }

// flush wipes Redis.
func (s *stage) flush() {
	_, err := s.FlushRedis(s.ctx)
	s.must(err)
}

// restore puts the last snapshot in the place of what Redis holds.
func (s *stage) restore() {
	_, err := s.Restore(s.ctx)
	s.must(err)
}

// set breaks the gateway or the mailbox, until mend.
func (s *stage) set(base, setting string, value any) {
	s.must(rig.Put(s.ctx, base+"/control", map[string]any{setting: value}))
}

func (s *stage) mend(base string) { s.must(rig.Put(s.ctx, base+"/control", map[string]any{})) }

func (s *stage) system() inspect.System {
	at := s.System()
	at.Parked, at.Gone = s.parked, s.gone
	return at
}

// quiet waits until all is at rest; the error says what is not.
func (s *stage) quiet(within time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	return inspect.Quiet(ctx, s.system(), s.placed, nil)
}

// rest waits until all is at rest before the scene goes on.
func (s *stage) rest() { s.must(s.quiet(hitWithin)) }

// place lets customers order, waits for their answers, and returns the orders. That there are none is a broken promise, not an error.
func (s *stage) place(plan load.Plan) []check.Expected {
	within, cancel := context.WithTimeout(s.ctx, answerWithin)
	defer cancel()
	s.seed++
	plan.Seed, plan.PerSecond = s.seed, 100
	result, err := plan.Run(within, s.Orders, nil)
	if err != nil && s.ctx.Err() == nil {
		s.broke(check.Stuck, "", "%d of %d customers have no answer", plan.Orders-len(result.Expected), plan.Orders)
	}
	for _, text := range result.Violations {
		s.broke(check.Choreography, "", "at the door: %s", text)
	}
	s.placed = append(s.placed, result.Expected...)
	return result.Expected
}

// order places one. The scene is over when it is not answered.
func (s *stage) order() (id string) {
	placed := s.place(load.Plan{Orders: 1})
	if len(placed) != 1 {
		panic(over{})
	}
	return placed[0].ID
}

// cancel lets a customer cancel, who must be answered.
func (s *stage) cancel(id string) {
	within, cancel := context.WithTimeout(s.ctx, answerWithin)
	defer cancel()
	err := rig.Until(within, "cancel", func() (string, error) {
		_, err := s.Orders[0].Cancel(within, id)
		if err != nil && (fault.ClassOf(err) == fault.Unavailable || errors.Is(err, context.DeadlineExceeded)) {
			return err.Error(), nil
		}
		return "", err
	})
	if err != nil {
		s.broke(check.Lost, id, "cannot be cancelled: %v", err)
		return
	}
	for i := range s.placed {
		if s.placed[i].ID == id {
			s.placed[i].CancelAsked = true
		}
	}
}

// cancelBy cancels at the door of another instance than the one named.
func (s *stage) cancelBy(id, not string) {
	orders := s.Orders
	defer func() { s.Orders = orders }()
	if not == s.Processes("order")[0] {
		s.Orders = orders[1:]
	}
	s.cancel(id)
}

func (s *stage) broke(g check.Guarantee, order, format string, args ...any) {
	s.wrong = append(s.wrong, check.Violation{Guarantee: g, Order: order, Text: fmt.Sprintf(format, args...)})
}

// arm keeps back the next call of a service at a crash point, until the scene is over.
func (s *stage) arm(point, service string) *hold.Held {
	p, err := hold.Find(point)
	s.must(err)
	held := p.Arm(s.Proxies, service, hold.Any)
	s.after(held.Drop)
	return held
}

// hit waits until a call is kept.
func (s *stage) hit(h *hold.Held) hold.Hit {
	ctx, cancel := context.WithTimeout(s.ctx, hitWithin)
	defer cancel()
	hit, err := h.Caught(ctx)
	s.must(err)
	return hit
}

// out waits until a process is out of its group.
func (s *stage) out(service, process string) {
	ctx, cancel := context.WithTimeout(s.ctx, hitWithin)
	defer cancel()
	s.must(s.Member(ctx, service, process, false))
}

// until asks until it is so.
func (s *stage) until(what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(s.ctx, hitWithin)
	defer cancel()
	return rig.Until(ctx, what, func() (string, error) {
		ok, err := ask()
		if !ok {
			return fmt.Sprintf("not within %s", hitWithin), err
		}
		return "", err
	})
}

// records waits until a topic has so many records of an order.
func (s *stage) records(what, topic, id string, records int) {
	s.must(s.until(what, func() (bool, error) {
		n, err := s.count(topic)
		return n[id] >= records, err
	}))
}

// count says how many records a topic has of each order.
func (s *stage) count(topic string) (map[string]int, error) {
	all, err := s.Log.Topic(s.ctx, topic, partitions)
	n := map[string]int{}
	for _, r := range all {
		n[string(r.Key)]++
	}
	return n, err
}

// poison appends what nobody can read to a topic, under an order's key. by says who must park it.
func (s *stage) poison(topic, id, by string) {
	s.append(rig.Record(broker.Record{
		Topic: topic, Partition: broker.Partition([]byte(id), partitions), Key: []byte(id), Value: []byte("poison"),
		Headers: broker.HeadersOf(check.PoisonHeader, by),
	}))
}

func (s *stage) append(records ...*kgo.Record) { s.must(rig.Append(s.ctx, s.KafkaAddrs, records...)) }

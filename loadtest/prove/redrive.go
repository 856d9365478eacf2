package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// outcomeWithin bounds the wait for what becomes of a parked letter.
const outcomeWithin = 60 * time.Second

// operator is who redrives, in the audit trail.
const operator = "prove"

// redrive brings a piece of poison back in each participant: it fails again, and is discarded then.
func (s *striker) redrive(ctx context.Context, f schedule.Fault) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, outcomeWithin)
	defer cancel()
	if _, err := s.intruder.poison(ctx, f.Seed); err != nil {
		return "", err
	}
	services := []string{"order", "payment", "notification"}
	err := each(services, func(service string) error {
		order, err := s.parked(ctx, service, f.Seed)
		if err != nil {
			return err
		}
		back, err := s.act(ctx, service, order, "redrive")
		if err == nil && (back.State != "failed" || back.Waiting == 0) {
			err = fmt.Errorf("redrive of the poison under %s by %s: %s, %d wait", order, service, back.State, back.Waiting)
		}
		if err != nil {
			return err
		}
		return s.discard(ctx, service, order)
	})
	return fmt.Sprintf("one each in %v failed again, and was discarded", services), err
}

// duringRedrive kills a participant that has said what became of a letter and not yet that the request is closed. The next owner must
// bring it to its end.
func (s *striker) duringRedrive(ctx context.Context, point hold.Point, f schedule.Fault) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, outcomeWithin)
	defer cancel()
	if _, err := s.intruder.poison(ctx, f.Seed); err != nil {
		return "", err
	}
	order, err := s.parked(ctx, f.Target, f.Seed)
	if err != nil {
		return "", err
	}
	held := point.Arm(s.Proxies, f.Target, hold.Any)
	asked := make(chan error, 1)
	go func() { asked <- s.discard(ctx, f.Target, order) }() // received below
	seen, err := s.die(ctx, held, f.Seed%2 == 0)
	return seen, errors.Join(err, <-asked)
}

// parked blocks until poison under a key is parked by a participant, and returns the key.
func (s *striker) parked(ctx context.Context, service string, seed uint64) (order string, err error) {
	r := rand.New(rand.NewPCG(seed, uint64(len(service))))
	err = rig.Until(ctx, "poison under a key at "+service, func() (string, error) {
		page, err := s.Console.Letters(ctx, rest.LetterFilter{Participant: service}, rest.Paging{})
		var keys []string
		for _, l := range page.Letters {
			if l.OrderID != "" && l.RetryAt.IsZero() { // what is deferred is no poison
				keys = append(keys, l.OrderID)
			}
		}
		if len(keys) == 0 {
			return fmt.Sprintf("nothing is parked (error: %v)", err), nil
		}
		order = keys[r.IntN(len(keys))]
		return "", nil
	})
	return order, err
}

// discard takes the poison under a key away, the head of its chain first.
func (s *striker) discard(ctx context.Context, service, order string) error {
	for {
		done, err := s.act(ctx, service, order, "discard")
		if err != nil {
			return err
		}
		if done.State != "done" {
			return fmt.Errorf("discard of the poison under %s by %s: %s: %s", order, service, done.State, done.Message)
		}
		if done.Waiting == 0 {
			return nil
		}
	}
}

// act asks for something and waits for what becomes of it. What is not there for a moment is asked again: the same asked twice is
// harmless.
func (s *striker) act(ctx context.Context, service, order, action string) (state rest.RequestState, err error) {
	err = rig.Until(ctx, action+" "+order+" at "+service, func() (string, error) {
		var err error
		state, err = s.ask(ctx, service, order, action)
		for err == nil && state.State == "waiting" {
			state, err = s.Console.Request(ctx, state.RequestID, rest.MaxWait)
		}
		if err != nil && fault.ClassOf(err) == fault.Unavailable {
			return err.Error(), nil
		}
		return "", err
	})
	return state, err
}

func (s *striker) ask(ctx context.Context, service, order, action string) (rest.RequestState, error) {
	chain, err := s.Console.Chain(ctx, service, order, rest.Paging{})
	if err != nil {
		return rest.RequestState{}, err
	}
	if len(chain.Letters) == 0 {
		return rest.RequestState{State: "done"}, nil
	}
	a := rest.Act{By: operator, Reason: "poison"}
	if action == "discard" {
		a.LetterID = chain.Letters[0].LetterID
	}
	return s.Console.Act(ctx, service, order, action, a, rest.MaxWait)
}

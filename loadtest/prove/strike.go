package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
)

// striker makes faults happen, and says by what one can see that they did.
type striker struct {
	*rig.Rig
	intruder *intruder
	// answered counts the customers' requests that were answered.
	answered atomic.Int64
	// awake is held for reading while an instance sleeps, for writing while it counts how soon its door answers.
	awake sync.RWMutex

	guard sync.Mutex
	wrong []check.Violation // that faults have found while they lasted
}

// sample is how often it is asked whether a fault was met.
const sample = 50 * time.Millisecond

// hitWithin bounds the wait for a service to come by a crash point. A takeover takes a session.
func (s *striker) hitWithin() time.Duration { return 10*time.Second + 3*s.Session() }

// strike blocks until a fault is over and what it struck is there again. The error says why it did not happen.
func (s *striker) strike(ctx context.Context, f schedule.Fault) (seen string, err error) {
	if remembers(f) {
		if err := s.remember(ctx, f.Seed); err != nil {
			return "", err
		}
	}
	if f.Class == schedule.Pair {
		return s.pair(ctx, f)
	}
	return s.single(ctx, f)
}

// remembers is true for what goes back to an earlier moment.
func remembers(f schedule.Fault) bool {
	return f.Class == schedule.Restore || slices.ContainsFunc(f.Parts, remembers)
}

// remember takes a snapshot of Redis and lets something happen after it.
func (s *striker) remember(ctx context.Context, seed uint64) error {
	_, err := insist(ctx, func() (string, error) { return "", s.Snapshot(ctx) })
	pause(ctx, time.Second+time.Duration(seed%2000)*time.Millisecond)
	return err
}

func (s *striker) single(ctx context.Context, f schedule.Fault) (seen string, err error) {
	switch f.Class {
	case schedule.Crash:
		return s.crash(ctx, f)
	case schedule.Kill, schedule.Pause, schedule.Rolling, schedule.Leave:
		return s.process(ctx, f)
	case schedule.Broker:
		return "another process is there", s.RestartBroker(ctx)
	case schedule.Leader:
		return "moved", errors.Join(s.Control.MoveLeaders(ctx), s.Control.MoveCoordinators(ctx))
	case schedule.Produce, schedule.Slow, schedule.Answer, schedule.Late, schedule.Fetch, schedule.Lag:
		return s.requests(ctx, f)
	case schedule.Silent, schedule.Skew:
		return s.knocked(ctx, f)
	case schedule.Flush, schedule.Empty, schedule.Away, schedule.Restore, schedule.Lossy, schedule.Full:
		return s.memory(ctx, f)
	case schedule.Reborn:
		return "another process is there", s.Kill(ctx, "gateway")
	case schedule.Outage, schedule.Delay, schedule.Flap, schedule.Unsure, schedule.Ours, schedule.Pending, schedule.NoMail, schedule.MailLag,
		schedule.PutOff:
		return s.outside(ctx, f)
	case schedule.Redrive:
		return s.redrive(ctx, f)
	case schedule.Rebuild:
		return s.Rebuild(ctx)
	case schedule.Copies:
		return s.intruder.copies(ctx, f.Seed)
	case schedule.Poison:
		return s.intruder.poison(ctx, f.Seed)
	case schedule.Outsize:
		return s.intruder.oversize(ctx, f.Seed)
	}
	return "", fmt.Errorf("nobody knows how to do %s", f.Class)
}

// pair does both, the second as long after the first as it says.
func (s *striker) pair(ctx context.Context, f schedule.Fault) (string, error) {
	var seen [2]string
	var errs [2]error
	first := make(chan struct{})
	go func() { // received below
		defer close(first)
		seen[0], errs[0] = s.single(ctx, f.Parts[0])
	}()
	pause(ctx, f.Parts[1].At)
	seen[1], errs[1] = s.single(ctx, f.Parts[1])
	<-first
	return seen[0] + "; " + seen[1], errors.Join(errs[:]...)
}

// crash kills a process while one of its calls is held. Where a point is reached only by who takes over, one is killed for it first.
func (s *striker) crash(ctx context.Context, f schedule.Fault) (string, error) {
	point, err := hold.Find(f.Point)
	if err != nil {
		return "", err
	}
	switch {
	case point.Name == "during-redrive":
		return s.duringRedrive(ctx, point, f)
	case point.First == "":
		return s.die(ctx, point.Arm(s.Proxies, f.Target, hold.Any), f.Seed%2 == 0)
	}
	first, err := hold.Find(point.First)
	if err != nil {
		return "", err
	}
	held := first.Arm(s.Proxies, f.Target, hold.Any)
	hit, err := s.hit(ctx, held)
	if err != nil {
		return "", fmt.Errorf("%s, which comes first: %w", first.Name, err)
	}
	next := point.Arm(s.Proxies, f.Target, hit.Partition)
	before, err := s.die(ctx, held, false) // what it had done must stay as it is for the next to come by
	if err != nil {
		next.Drop()
		return "", err
	}
	seen, err := s.die(ctx, next, f.Seed%2 == 0)
	if err != nil {
		return "", fmt.Errorf("%s, and then: %w", before, err)
	}
	return seen, nil
}

// die kills the process whose call is held, and lets the call arrive late, or never.
func (s *striker) die(ctx context.Context, held *hold.Held, late bool) (string, error) {
	defer held.Drop()
	what, err := s.hit(ctx, held)
	if err != nil {
		return "", err
	}
	if err := s.Kill(ctx, what.Client); err != nil {
		return "", err
	}
	end := "the call never arrived"
	if late {
		held.Release()
		end = "the call arrived after all"
	}
	return fmt.Sprintf("%s died at %s; %s", what.Client, what.What, end), nil
}

func (s *striker) hit(ctx context.Context, held *hold.Held) (hold.Hit, error) {
	ctx, cancel := context.WithTimeout(ctx, s.hitWithin())
	defer cancel()
	return held.Caught(ctx)
}

// outside breaks the payment gateway or the mail server for a while, and until somebody has ordered. They count nothing; that orders were answered meanwhile
// says that there was something to do for them.
func (s *striker) outside(ctx context.Context, f schedule.Fault) (string, error) {
	settings := map[schedule.Class]map[string]any{
		schedule.Outage:  {"outage": true},
		schedule.Delay:   {"delay_ms": 1500},
		schedule.Flap:    {"flap_ms": 400},
		schedule.Unsure:  {"lose_answers_percent": 50},
		schedule.Ours:    {"refuse_parameters": true},
		schedule.Pending: {"pend_refunds_ms": 2 * f.Length.Milliseconds()}, // asked again more than once
		schedule.NoMail:  {"outage": true},
		schedule.MailLag: {"delay_ms": 1500},
		schedule.PutOff:  {"defer_percent": 40},
	}[f.Class]
	base := s.Gateway
	if slices.Contains([]schedule.Class{schedule.NoMail, schedule.MailLag, schedule.PutOff}, f.Class) {
		base = s.Mailbox
	}
	settings["reset_after_s"] = int((f.Length+s.hitWithin())/time.Second) + 5 // if we should not come to it
	before := s.answered.Load()
	if err := rig.Put(ctx, base+"/control", settings); err != nil {
		return "", err
	}
	ordered := func() int64 { return s.answered.Load() - before }
	s.last(ctx, f.Length, func() bool { return ordered() > 0 })
	meanwhile := ordered()
	if err := rig.Put(context.WithoutCancel(ctx), base+"/control", map[string]any{}); err != nil {
		return "", err
	}
	if meanwhile == 0 {
		return "", errors.New("nobody ordered anything meanwhile")
	}
	return fmt.Sprintf("%d orders were placed meanwhile", meanwhile), nil
}

// last blocks for the length of a fault, and until somebody has met it.
func (s *striker) last(ctx context.Context, length time.Duration, met func() bool) {
	for waited := time.Duration(0); waited < length || !met() && waited < length+s.hitWithin(); waited += sample {
		if !pause(ctx, sample) {
			return
		}
	}
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool { return wait.Sleep(ctx, d) == nil }

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = rig.Partitions
	// answerWithin bounds what customers wait for their answers, hitWithin what a scene waits for a call or a state to come.
	answerWithin, hitWithin = 20 * time.Second, 15 * time.Second
	// readWithin bounds the reading of everything.
	readWithin = 20 * time.Second
	askEvery   = 50 * time.Millisecond
	// elapse is how long a scene lets a service do what it does several times a second.
	elapse = 1500 * time.Millisecond
)

// scene is one fault, aimed at one guard: a few orders, and what befalls them at the moment at which the guard counts.
type scene struct {
	// Name is for reports.
	Name string
	// Instances of each service; 0 is 1.
	Instances int
	// Deadline of payments; 0 is 20 s.
	Deadline time.Duration
	// Forgets: the store loses decisions, or somebody appends what nobody decided. Without, there is one decider: nothing is void.
	Forgets bool
	Act     func(ctx context.Context, s *stage) error
}

// stage is a troupe on which a scene is played.
type stage struct {
	*rig.Rig
	redis  *redis.Client
	kafka  *kgo.Client
	seed   uint64
	placed []check.Expected
	gone   check.Gone
	parked map[string]bool
	mended map[string]bool // were parked, and are not any more
	wrong  []check.Violation
}

// perform plays a scene on a program and looks at everything afterwards. quiet bounds the wait for rest: what has none is stuck.
func perform(ctx context.Context, sc scene, troupe, dir string, quiet time.Duration) (found *check.Report, err error) {
	cfg := rig.Config{
		Troupe: troupe, Dir: filepath.Join(dir, "play"), Instances: max(1, sc.Instances), PaymentDeadline: max(sc.Deadline, 20*time.Second),
	}
	if sc.Deadline > 0 {
		cfg.PaymentDeadline = sc.Deadline
	}
	r, err := rig.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	s := &stage{Rig: r, redis: redis.NewClient(&redis.Options{Addr: r.RedisAddr}), parked: map[string]bool{}, mended: map[string]bool{}}
	defer func() { err = errors.Join(err, s.redis.Close()) }()
	if s.kafka, err = kgo.NewClient(kgo.SeedBrokers(r.KafkaAddrs...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		return nil, err
	}
	defer s.kafka.Close()
	if err := sc.Act(ctx, s); err != nil {
		return nil, fmt.Errorf("%s was not played: %w", sc.Name, err)
	}
	stuck := s.quiet(ctx, quiet)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	within, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	found, err = inspect.Run(within, s.system(), s.placed)
	switch {
	case err != nil && stuck == nil:
		return nil, err
	case err != nil: // what never comes to rest may not be readable either
		found, stuck = &check.Report{}, fmt.Errorf("%w; %w", stuck, err)
	}
	if stuck != nil {
		found.Violation(check.Stuck, "", "%v", stuck)
	}
	if found.VoidedRecords > 0 && !sc.Forgets {
		found.Violation(check.Choreography, "", "%d facts are void, although nobody has forgotten anything", found.VoidedRecords)
	}
	found.Violations = slices.DeleteFunc(found.Violations, func(v check.Violation) bool {
		return v.Guarantee == check.UnexplainedLetter && s.mended[v.Order]
	})
	found.Violations = append(s.wrong, found.Violations...) // what a scene has seen itself is the nearest reason
	return found, nil
}

func (s *stage) system() inspect.System {
	cfg := taskstore.Config{Addrs: []string{s.RedisAddr}}
	return inspect.System{
		Log: s.Log, Partitions: partitions, Orders: s.Orders[0], Gateway: s.Gateway, Mailbox: s.Mailbox, Parked: s.parked, Gone: s.gone,
		Read: func(ctx context.Context, id string) (any, bool, error) {
			doc, ok, err := query.ReadOrder(ctx, cfg, partitions, id)
			return doc, ok, err
		},
		Fold: func(records []broker.Record) any { return query.FoldOrder(records) },
	}
}

// quiet waits until all is at rest; the error says what is not.
func (s *stage) quiet(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return inspect.Quiet(ctx, s.system(), s.placed, nil)
}

// place lets customers order, waits for their answers, and returns the orders. That there are none is a broken promise, not an error.
func (s *stage) place(ctx context.Context, plan load.Plan) []check.Expected {
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s.seed++
	plan.Seed, plan.PerSecond = s.seed, 100
	result, err := plan.Run(within, s.Orders, nil)
	if err != nil && ctx.Err() == nil {
		s.broke(check.Stuck, "", "%d of %d customers have no answer", plan.Orders-len(result.Expected), plan.Orders)
	}
	for _, text := range result.Violations {
		s.broke(check.Choreography, "", "at the door: %s", text)
	}
	s.placed = append(s.placed, result.Expected...)
	return result.Expected
}

// order places one, and says whether it was answered.
func (s *stage) order(ctx context.Context) (id string, ok bool) {
	if placed := s.place(ctx, load.Plan{Orders: 1}); len(placed) == 1 {
		return placed[0].ID, true
	}
	return "", false
}

// cancel lets a customer cancel, who must be answered.
func (s *stage) cancel(ctx context.Context, id string) {
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var err error
	for within.Err() == nil {
		if _, err = s.Orders[0].Cancel(within, id); err == nil || !again(err) {
			break
		}
		pause(within, askEvery)
	}
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

func (s *stage) broke(g check.Guarantee, order, format string, args ...any) {
	s.wrong = append(s.wrong, check.Violation{Guarantee: g, Order: order, Text: fmt.Sprintf(format, args...)})
}

// arm keeps back the next call of a service at a crash point.
func (s *stage) arm(point, service string) (*hold.Held, error) {
	p, err := hold.Find(point)
	if err != nil {
		return nil, err
	}
	return p.Arm(s.Proxies, service, hold.Any), nil
}

// hit waits until a call is kept.
func hit(ctx context.Context, h *hold.Held) (hold.Hit, error) {
	ctx, cancel := context.WithTimeout(ctx, hitWithin)
	defer cancel()
	select {
	case <-h.Hit():
		return h.What(), nil
	case <-ctx.Done():
		return hold.Hit{}, errors.New("nobody came by")
	}
}

// until asks until it is so.
func until(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, hitWithin)
	defer cancel()
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, hitWithin)
		case <-time.After(askEvery):
		}
	}
}

func pause(ctx context.Context, d time.Duration) { _ = wait.Sleep(ctx, d) } // who called looks at ctx

func again(err error) bool {
	return fault.ClassOf(err) == fault.Unavailable || errors.Is(err, context.DeadlineExceeded)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// memberWithin bounds the waits for a group to notice who is there.
const memberWithin = 30 * time.Second

// process does something to the instances of one service.
func (s *striker) process(ctx context.Context, f schedule.Fault) (string, error) {
	service, _, _ := strings.Cut(f.Target, "-")
	switch f.Class {
	case schedule.Kill:
		return "all instances were started again", each(s.Processes(service), func(p string) error { return s.Kill(ctx, p) })
	case schedule.Rolling:
		for _, p := range s.Processes(service) {
			if err := s.Term(ctx, p); err != nil {
				return "", err
			}
			if err := s.member(ctx, service, p, true); err != nil {
				return "", err
			}
		}
		return "each instance ended, was started again, and joined its group", nil
	case schedule.Pause:
		return s.zombie(ctx, service, f)
	}
	if err := s.member(ctx, service, f.Target, true); err != nil {
		return "", err
	}
	err := s.Do(ctx, f.Target, "stop")
	if err == nil {
		err = s.member(ctx, service, f.Target, false)
	}
	pause(ctx, f.Length)
	err = errors.Join(err, s.Do(context.WithoutCancel(ctx), f.Target, "start"))
	if err == nil {
		err = s.member(ctx, service, f.Target, true)
	}
	return "the group gave its partitions away, and back", err
}

// zombie lets an instance wake up when the group has given its partitions to others.
func (s *striker) zombie(ctx context.Context, service string, f schedule.Fault) (string, error) {
	if err := s.member(ctx, service, f.Target, true); err != nil {
		return "", err
	}
	s.awake.RLock()
	defer s.awake.RUnlock()
	began := time.Now()
	if err := s.Do(ctx, f.Target, "pause"); err != nil {
		return "", err
	}
	err := s.member(ctx, service, f.Target, false)
	pause(ctx, f.Length-time.Since(began))
	return fmt.Sprintf("it had lost its partitions when it woke up after %s", time.Since(began).Round(time.Millisecond)),
		errors.Join(err, s.Do(context.WithoutCancel(ctx), f.Target, "resume"))
}

func (s *striker) member(ctx context.Context, service, process string, is bool) error {
	ctx, cancel := context.WithTimeout(ctx, memberWithin)
	defer cancel()
	return s.Member(ctx, service, process, is)
}

// each does something for all at once.
func each(names []string, do func(string) error) error {
	errs := make(chan error, len(names))
	for _, name := range names {
		go func() { errs <- do(name) }()
	}
	var all []error
	for range names {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// requests breaks the services' requests to the broker for a while.
func (s *striker) requests(ctx context.Context, f schedule.Fault) (string, error) {
	fault := hold.Fault{Probability: .5, Seed: f.Seed}
	key := kmsg.Produce
	switch f.Class {
	case schedule.Produce:
		fault.Err = []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas}[f.Seed%3]
	case schedule.Slow:
		fault.Delay = 700 * time.Millisecond
	case schedule.Answer:
		fault.LoseAnswer = true
	case schedule.Late:
		fault.Late, fault.Probability = 2500*time.Millisecond, .3
	case schedule.Fetch:
		key, fault.Err = kmsg.Fetch, []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownServerError}[f.Seed%2]
	case schedule.Lag:
		key, fault.Delay = kmsg.Fetch, 700*time.Millisecond
	default:
		return "", fmt.Errorf("%s breaks no requests", f.Class)
	}
	fault.Match = func(r hold.Request) bool {
		return r.Key == key && (f.Target == "" || strings.HasPrefix(r.Client, f.Target))
	}
	faulty := s.Proxies.Kafka.Fault(fault)
	defer faulty.Remove()
	s.last(ctx, f.Length, func() bool { return faulty.Hits() > 0 })
	if faulty.Hits() == 0 {
		return "", errors.New("no request came by")
	}
	return fmt.Sprintf("%d requests", faulty.Hits()), nil
}

// knocked makes Redis silent, or wrong about the time, while customers knock.
func (s *striker) knocked(ctx context.Context, f schedule.Fault) (seen string, err error) {
	var wrong []check.Violation
	if f.Class == schedule.Silent {
		s.awake.Lock()
		defer s.awake.Unlock()
		seen, wrong, err = s.SilenceRedis(ctx, f.Length)
	} else {
		seen, wrong, err = s.SkewClock(ctx, 10*time.Minute+time.Duration(f.Seed%30)*time.Minute, f.Length)
	}
	s.guard.Lock()
	defer s.guard.Unlock()
	s.wrong = append(s.wrong, wrong...)
	return seen, err
}

// memory takes Redis, or what it holds, away.
func (s *striker) memory(ctx context.Context, f schedule.Fault) (string, error) {
	switch f.Class {
	case schedule.Flush:
		return insist(ctx, func() (string, error) {
			keys, err := s.FlushRedis(ctx)
			if err == nil && keys == 0 {
				err = errors.New("there was nothing to wipe")
			}
			return fmt.Sprintf("%d keys are gone", keys), err
		})
	case schedule.Lossy:
		return insist(ctx, func() (string, error) {
			lost, of, err := s.ThinRedis(ctx, f.Seed)
			return fmt.Sprintf("%d of %d keys are gone", lost, of), err
		})
	case schedule.Restore:
		return insist(ctx, func() (string, error) {
			age, err := s.Restore(ctx)
			return fmt.Sprintf("what it held %s ago is back", age.Round(time.Millisecond)), err
		})
	case schedule.Full:
		return "it refused to write", s.FillRedis(ctx, f.Length)
	}
	away := f.Length
	if f.Class == schedule.Empty {
		away = 0
	}
	return "another process is there, empty", s.EmptyRedis(ctx, away)
}

// insist tries until it works: Redis may be away, or empty, for another reason.
func insist(ctx context.Context, try func() (string, error)) (string, error) {
	for {
		seen, err := try()
		if err == nil || !pause(ctx, sample) {
			return seen, err
		}
	}
}

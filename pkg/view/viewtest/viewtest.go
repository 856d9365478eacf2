// Package viewtest is what a read model is tested on: a log, Redis, the projection between them, and a writer of facts
// and dead letters.
package viewtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

// Partitions of every topic.
const Partitions = 4

// Stage is a log, and the projection of documents D that reads it.
type Stage[D any] struct {
	T     testing.TB
	Log   *brokertest.Memory
	Redis redis.UniversalClient
	Feed  *projection.Feed
	// Events makes what is put into the log.
	Events   *Writer
	behavior projection.Behavior[D]
}

// New returns an empty stage with the topics of a projection and further ones; nothing is folded before Play.
func New[D any](t testing.TB, b projection.Behavior[D], further ...string) *Stage[D] {
	s := &Stage[D]{T: t, Log: brokertest.New(), Redis: storetest.Fresh(t), Events: NewWriter(), behavior: b}
	for _, topic := range slices.Concat(b.Topics, b.Notes, further) {
		if err := s.Log.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: Partitions}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Feed = projection.NewFeed(s.Redis, b.Name, Partitions)
	s.Run(s.Feed.Run)
	return s
}

// Play runs the projection until stop is called, or the test ends.
func (s *Stage[D]) Play() (stop func()) {
	return s.Run(projection.New(s.behavior, projection.Config{Log: s.Log, Redis: s.Redis, Partitions: Partitions}).Run)
}

// Run runs a part until stop is called, or the test ends; both wait for it.
func (s *Stage[D]) Run(part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.T.Errorf("run: %v", err)
		}
	})
	s.T.Cleanup(stop)
	return stop
}

// Put appends records and returns the consistency token of the last.
func (s *Stage[D]) Put(records ...broker.Record) (token string) {
	for _, r := range records {
		tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		token = event.Token(tp, s.Log.Append(tp, r))
	}
	return token
}

// Park puts letters of records into the log: the first failed, the others wait behind it. It returns their ids.
func (s *Stage[D]) Park(participant, class, message string, came ...broker.Record) (ids []string) {
	for _, r := range came {
		why, text, behind := class, message, ""
		if len(ids) > 0 {
			why, text, behind = "behind", "waits behind an earlier letter of its order", ids[0]
		}
		l := s.Events.Letter(participant, r, why, text, behind)
		s.Put(l)
		d, err := deadletter.Parse(l)
		if err != nil {
			s.T.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	return ids
}

// Caught waits until the read model has everything that is in the log.
func (s *Stage[D]) Caught() {
	s.T.Helper()
	r := projection.NewReader(s.behavior, s.Redis)
	Eventually(s.T, func() string {
		states, err := r.States(s.T.Context(), Partitions)
		if err != nil {
			return err.Error()
		}
		for p, state := range states {
			for _, topic := range slices.Concat(s.behavior.Topics, s.behavior.Notes) {
				tp := broker.TopicPartition{Topic: topic, Partition: p}
				ends, err := s.Log.Ends(s.T.Context(), []broker.TopicPartition{tp})
				if err != nil {
					return err.Error()
				}
				if state.Incomplete || !state.Passed(topic, ends[tp]-1) {
					return fmt.Sprintf("%s/%d is folded to %d of %d", topic, p, state.Positions[topic], ends[tp])
				}
			}
		}
		return ""
	})
}

// Eventually waits until check has nothing to say.
func Eventually(t testing.TB, check func() string) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		said := check()
		if said == "" {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("it never came to be: %s", said)
		}
		<-tick.C
	}
}

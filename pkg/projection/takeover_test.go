package projection

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// overtaken is a log that lets something happen when it has been asked for its ends in a takeover.
type overtaken struct {
	broker.Log
	joined, done atomic.Bool
	then         func()
}

// Join takes part in a group of its own, so that whoever had the partitions does not know yet that they are another's.
func (l *overtaken) Join(ctx context.Context, group string, topics []string, n int,
	serve func(context.Context, broker.Generation) error) error {
	return l.Log.Join(ctx, group+"-2", topics, n, func(ctx context.Context, g broker.Generation) error {
		l.joined.Store(true)
		return serve(ctx, g)
	})
}

func (l *overtaken) Ends(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	ends, err := l.Log.Ends(ctx, logs)
	if l.joined.Load() && l.done.CompareAndSwap(false, true) {
		l.then()
	}
	return ends, err
}

// Whoever had a partition folds on until it is claimed: that it is beyond the end that was seen then does not make it
// another log's.
func TestProgressUntilTheClaimIsKept(t *testing.T) {
	s, b := newStage(t), chronicle()
	_, stop := s.play(b)
	s.say(talk, "o1", "one")
	s.shows(b, "o1")
	meta := taskstore.New(s.redis, b.Name).Key(logOf(talk, "o1").Partition, keyMeta)
	owner := func() string { return s.redis.HGet(context.Background(), meta, "owner").Val() }
	first := owner()
	s.redis.HSet(t.Context(), meta, "kept-by-no-reset", "1")
	log := &overtaken{Log: s.log, then: func() {
		s.say(talk, "o1", "two")
		if owner() == first { // not fenced yet
			s.shows(b, "o1")
		}
		stop()
	}}
	s.playOn(log)
	eventually(t, func() string {
		if !log.done.Load() || owner() == first {
			return "not taken over"
		}
		return ""
	})
	s.say(talk, "o1", "three")
	s.shows(b, "o1")
	if s.redis.HGet(t.Context(), meta, "kept-by-no-reset").Val() != "1" {
		t.Error("the partition was folded again from the start")
	}
}

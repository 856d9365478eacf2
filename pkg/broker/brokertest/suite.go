package brokertest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Subject is a broker.Log under test.
type Subject struct {
	broker.Log
	// Trim makes the broker forget the records of a log before start.
	Trim func(tp broker.TopicPartition, start int64)
	// Delete deletes topics.
	Delete func(topics ...string)
}

// patience is how long anything may take before the suite says that it does not happen.
const patience = 30 * time.Second

// Suite checks that a broker.Log keeps its contract. open gives each test an empty one; its groups should have a
// session and a rebalance time-out of a few seconds, since tests wait for both.
func Suite(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*suite, *testing.T){
		"Provision":                (*suite).provision,
		"ProduceAndFetch":          (*suite).produceAndFetch,
		"ManyLogs":                 (*suite).manyLogs,
		"LargeBatches":             (*suite).largeBatches,
		"Refusals":                 (*suite).refusals,
		"UnknownTopic":             (*suite).unknownTopic,
		"Identities":               (*suite).identities,
		"OutOfRange":               (*suite).outOfRange,
		"MiddleOfABatch":           (*suite).middleOfABatch,
		"FetchWaits":               (*suite).fetchWaits,
		"FetchEndsWithContext":     (*suite).fetchEndsWithContext,
		"GroupRebalances":          (*suite).groupRebalances,
		"GroupFencesCommits":       (*suite).groupFencesCommits,
		"GroupFencesTheSlow":       (*suite).groupFencesTheSlow,
		"GroupWaitsForTopics":      (*suite).groupWaitsForTopics,
		"GroupIgnoresSurplus":      (*suite).groupIgnoresSurplus,
		"GroupRefusesFewer":        (*suite).groupRefusesFewer,
		"GroupEndsOnPermanent":     (*suite).groupEndsOnPermanent,
		"GroupComesBackAfterError": (*suite).groupComesBackAfterError,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			test(&suite{Subject: open(t), ctx: ctx}, t)
		})
	}
}

type suite struct {
	Subject
	ctx        context.Context
	partitions int // of the topics made last
}

func (*suite) log(topic string, partition int) broker.TopicPartition {
	return broker.TopicPartition{Topic: topic, Partition: partition}
}

func (s *suite) topics(t *testing.T, partitions int, names ...string) {
	t.Helper()
	s.partitions = partitions
	var topics []broker.Topic
	for _, name := range names {
		topics = append(topics, broker.Topic{Name: name, Partitions: partitions, Retention: 24 * time.Hour})
	}
	if err := s.Provision(s.ctx, topics); err != nil {
		t.Fatalf("provision: %v", err)
	}
}

func (s *suite) put(batches ...broker.Batch) map[broker.TopicPartition]broker.Produced {
	var mu sync.Mutex
	produced := map[broker.TopicPartition]broker.Produced{}
	s.Produce(s.ctx, batches, func(p broker.Produced) {
		mu.Lock()
		defer mu.Unlock()
		if _, twice := produced[p.TopicPartition]; twice {
			p.Err = errors.Join(p.Err, errors.New("called twice for one batch"))
		}
		produced[p.TopicPartition] = p
	})
	return produced
}

func (s *suite) mustPut(t *testing.T, batches ...broker.Batch) map[broker.TopicPartition]broker.Produced {
	t.Helper()
	produced := s.put(batches...)
	for _, b := range batches {
		if p, ok := produced[b.TopicPartition]; !ok || p.Err != nil {
			t.Fatalf("produce to %v: answered %v, error %v", b.TopicPartition, ok, p.Err)
		}
	}
	return produced
}

// readAll fetches until every log is read to the end it had at first, and checks what holds for each answer.
func (s *suite) readAll(t *testing.T, maxBytes int, from map[broker.TopicPartition]int64) (
	records map[broker.TopicPartition][]broker.Record) {
	t.Helper()
	ends, err := s.Ends(s.ctx, slices.Collect(maps.Keys(from)))
	if err != nil {
		t.Fatalf("ends: %v", err)
	}
	next, read := maps.Clone(from), map[broker.TopicPartition][]broker.Record{}
	for !maps.EqualFunc(next, ends, func(n, e int64) bool { return n >= e }) {
		var positions []broker.Position
		for tp, offset := range next {
			positions = append(positions, broker.Position{TopicPartition: tp, Offset: offset, MaxBytes: maxBytes})
		}
		fetched, err := s.Fetch(s.ctx, positions)
		if err != nil {
			t.Fatalf("fetch: %v", err)
		}
		if len(fetched) != len(positions) {
			t.Fatalf("%d answers for %d positions", len(fetched), len(positions))
		}
		for _, f := range fetched {
			if f.Err != nil {
				if fault.ClassOf(f.Err) != fault.Unavailable {
					t.Fatalf("fetch %v: %v", f.TopicPartition, f.Err)
				}
				continue
			}
			offset := next[f.TopicPartition]
			for _, r := range f.Records {
				if r.Offset < offset || r.Topic != f.Topic || r.Partition != f.Partition {
					t.Fatalf("fetch %v from %d brought %s/%d at %d", f.TopicPartition, offset, r.Topic, r.Partition, r.Offset)
				}
				offset = r.Offset + 1
			}
			if f.Next < offset || f.End < f.Next || f.Start > next[f.TopicPartition] {
				t.Fatalf("fetch %v from %d: start %d, next %d, end %d",
					f.TopicPartition, next[f.TopicPartition], f.Start, f.Next, f.End)
			}
			next[f.TopicPartition] = f.Next
			read[f.TopicPartition] = append(read[f.TopicPartition], f.Records...)
		}
	}
	return read
}

func sameRecord(a, b broker.Record) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && bytes.Equal(a.Headers, b.Headers)
}

func wantClass(t *testing.T, what string, err error, class fault.Class, words ...string) {
	t.Helper()
	if err == nil || fault.ClassOf(err) != class {
		t.Errorf("%s: error %v of class %v, want class %v", what, err, fault.ClassOf(err), class)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not name %q", what, err, w)
		}
	}
}

package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The projection under test keeps what was said about an order in two topics.
const (
	talk       = "talk.events.v1"
	song       = "song.events.v1"
	partitions = 3
)

type script struct {
	Talk, Song []string  `json:",omitempty"`
	Since      time.Time `json:",omitzero"`
}

func chronicle() Behavior[script] {
	return Behavior[script]{
		Name: "chronicle", FoldVersion: 1, Topics: []string{talk, song}, Ages: "all",
		Fold: func(doc script, m event.Message, at At) script {
			word := "?"
			if v, ok := m.Body.(*wrapperspb.StringValue); ok {
				word = v.Value
			}
			if word == "panic" {
				panic("a word nobody can say")
			}
			if at.Topic == talk {
				doc.Talk = append(slices.Clone(doc.Talk), word)
				if len(doc.Talk) == 1 {
					doc.Since = m.Time
				}
			} else {
				doc.Song = append(slices.Clone(doc.Song), word)
			}
			return doc
		},
		Index: func(w *Writes, id string, before, after script) {
			words := len(after.Talk) + len(after.Song) - len(before.Talk) - len(before.Song)
			w.Count(Name{Text: "counts"}, Name{Text: "words"}, int64(words))
			if !after.Since.Equal(before.Since) {
				w.Add(Name{Text: "all"}, id, after.Since.UnixMilli())
			}
		},
	}
}

// stage is a log, a store and the instances that fold the one into the other.
type stage struct {
	t     *testing.T
	log   *brokertest.Memory
	redis redis.UniversalClient
	heads map[string]section
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, log: brokertest.New(), redis: storetest.Fresh(t), heads: map[string]section{}}
	s.provision()
	return s
}

func (s *stage) provision() {
	s.t.Helper()
	err := s.log.Provision(s.t.Context(), []broker.Topic{{Name: talk, Partitions: partitions}, {Name: song, Partitions: partitions}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// play runs an instance until stop is called, which waits for it.
func (s *stage) play(b Behavior[script]) (p *Projection[script], stop func()) {
	p = New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	return p, s.run(p)
}

// playOn runs an instance that reads another log.
func (s *stage) playOn(log broker.Log) (stop func()) {
	p := New(chronicle(), Config{Log: log, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	return s.run(p)
}

func (s *stage) run(p *Projection[script]) (stop func()) { return s.runPart(p.Run) }

func (s *stage) runPart(part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	}
	s.t.Cleanup(stop)
	return stop
}

func logOf(topic, order string) broker.TopicPartition {
	return broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(order), partitions)}
}

// fact makes the next fact of an order in a topic.
func (s *stage) fact(topic, order, word string) broker.Record {
	h := s.heads[topic+order]
	e := event.Event{
		ID: event.MakeID(topic, order, word, fmt.Sprint(h.Sequence)), Sequence: h.Sequence + 1, PreviousID: h.ID,
		Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "stage", Subject: order, Time: time.Now().UTC(),
	}
	s.heads[topic+order] = section{Sequence: e.Sequence, ID: e.ID}
	return record2(s.t, e, topic, word)
}

func record2(t *testing.T, e event.Event, topic, word string) broker.Record {
	data, err := event.Encode(wrapperspb.String(word))
	if err != nil {
		t.Fatal(err)
	}
	e.Data = data
	return event.ToRecord(e, topic, logOf(topic, e.Subject).Partition)
}

// put appends records as they are.
func (s *stage) put(records ...broker.Record) {
	for _, r := range records {
		s.log.Append(broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}, r)
	}
}

func (s *stage) say(topic, order string, words ...string) {
	for _, w := range words {
		s.put(s.fact(topic, order, w))
	}
}

// want is the document as a fold of the whole log.
func (s *stage) want(b Behavior[script], order string) (script, uint64) {
	var records []broker.Record
	for _, topic := range []string{song, talk} {
		for _, r := range s.log.Read(logOf(topic, order)) {
			if string(r.Key) == order {
				records = append(records, r)
			}
		}
	}
	return b.FoldOrder(records)
}

// pipelines is a hook of a client that stands before its pipelines.
type pipelines func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error

func (p pipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (p pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (p pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return p(ctx, cmds, next) }
}

// fail has commands end with an error, and returns it.
func fail(cmds []redis.Cmder, err error) error {
	for _, c := range cmds {
		c.SetErr(err)
	}
	return err
}

// eventually waits until check has nothing to say.
func eventually(t *testing.T, check func() string) {
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

// shows waits until the read model holds what a fold of the log says about the orders, and no state of it is left
// behind.
func (s *stage) shows(b Behavior[script], orders ...string) {
	s.t.Helper()
	r := NewReader(b, s.redis)
	eventually(s.t, func() string {
		for _, id := range orders {
			want, version := s.want(b, id)
			got, state, err := r.Get(s.t.Context(), logOf(talk, id).Partition, id)
			if err != nil {
				return err.Error()
			}
			if d := cmp.Diff(want, got.Doc); d != "" || got.Version != version || state.Incomplete {
				return fmt.Sprintf("order %s: version %d, not %d; rebuilding %v; %s", id, got.Version, version, state.Incomplete, d)
			}
		}
		return ""
	})
}

// words adds the counters of all partitions.
func (s *stage) words() (n int) {
	s.t.Helper()
	r := NewReader(chronicle(), s.redis)
	for p := range partitions {
		var cmd *redis.StringCmd
		if _, err := r.Read(s.t.Context(), []int{p}, func(pipe Pipes, keys Keys) {
			cmd = pipe(p).HGet(s.t.Context(), keys(p, "counts"), "words")
		}); err != nil {
			s.t.Fatal(err)
		}
		v, err := cmd.Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			s.t.Fatal(err)
		}
		n += v
	}
	return n
}

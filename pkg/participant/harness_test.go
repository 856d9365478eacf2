package participant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders/orderstest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The participant under test is a clerk: it stamps every note it hears with one fact, unless told otherwise.
const (
	notes = "desk.events.v1"
	mails = "post.events.v1"
)

// ledger is its state: what it stamped, in order.
type ledger struct {
	Stamped []string
	Until   time.Time
}

type react func(ctx context.Context, s ledger, m event.Message) (proto.Message, error)

// text of a note's body.
func text(m event.Message) string {
	if v, ok := m.Body.(*wrapperspb.StringValue); ok {
		return v.Value
	}
	return ""
}

func stamp(_ context.Context, _ ledger, m event.Message) (proto.Message, error) {
	return wrapperspb.Bytes([]byte(text(m))), nil
}

func clerk(r react) participant.Behavior[ledger] {
	types := []string{event.TypeOf(&wrapperspb.StringValue{})}
	return participant.Behavior[ledger]{
		Name: "clerk", FoldVersion: 1,
		Subscribes: []participant.Subscription{{Topic: notes, Types: types}, {Topic: mails, Types: types}},
		React:      r,
		Evolve: func(s ledger, fact event.Message) ledger {
			s.Stamped = append(slices.Clone(s.Stamped), string(fact.Body.(*wrapperspb.BytesValue).Value))
			return s
		},
	}
}

// stage is a log, a store and the instances that play on them.
type stage struct {
	t     *testing.T
	log   *brokertest.Memory
	mini  *miniredis.Miniredis
	redis redis.UniversalClient
	seq   map[string]head

	retention time.Duration // of the facts; zero: the default
	clock     *clock.Clock  // nil: it is believed
}

type head struct {
	seq uint64
	id  string
}

const partitions = 2

// newStage opens an empty stage; inside a synctest bubble, mini must have been started outside.
func newStage(t *testing.T, mini *miniredis.Miniredis) *stage {
	s := &stage{t: t, log: brokertest.New(), mini: mini, seq: map[string]head{}}
	// Time-outs of connections end by the real clock, while a bubble's stands still.
	s.redis = redis.NewClient(&redis.Options{Addr: mini.Addr(), ReadTimeout: -1, WriteTimeout: -1, MaxRetries: -1})
	t.Cleanup(func() { _ = s.redis.Close() })
	if err := s.log.Provision(t.Context(), []broker.Topic{{Name: notes, Partitions: partitions}, {Name: mails, Partitions: partitions}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) config() participant.Config {
	return participant.Config{Log: s.log, Redis: s.redis, Partitions: partitions, HoldLimit: time.Minute, Retention: s.retention, Clock: s.clock}
}

// play runs an instance until stop is called, which waits for it.
func (s *stage) play(b participant.Behavior[ledger]) (p *participant.Participant[ledger], stop func()) {
	return s.playOn(s.log, b)
}

// playOn does so with another log than the stage's.
func (s *stage) playOn(log broker.Log, b participant.Behavior[ledger]) (p *participant.Participant[ledger], stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	cfg := s.config()
	cfg.Log = log
	p = participant.New(b, cfg)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	}
}

func at(topic, order string) broker.TopicPartition {
	return broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(order), partitions)}
}

// note makes the next event of an order in a topic.
func (s *stage) note(topic, order, body string) broker.Record {
	h := s.seq[topic+order]
	data, err := event.Encode(wrapperspb.String(body))
	if err != nil {
		s.t.Fatal(err)
	}
	e := event.Event{
		ID: event.MakeID(topic, order, body), Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "desk", Subject: order,
		Time: time.Now(), Sequence: h.seq + 1, PreviousID: h.id, Data: data,
	}
	s.seq[topic+order] = head{e.Sequence, e.ID}
	tp := at(topic, order)
	return event.ToRecord(e, tp.Topic, tp.Partition)
}

// hand appends the next event of an order to a topic.
func (s *stage) hand(topic, order, body string) broker.Record {
	r := s.note(topic, order, body)
	s.log.Append(at(topic, order), r)
	return r
}

// facts returns what the clerk stamped for an order, as its valid chain in the log says.
func (s *stage) facts(order string) []string {
	var out []string
	var h head
	for _, r := range s.log.Read(at("clerk.events.v1", order)) {
		e, err := event.FromRecord(r)
		if err != nil {
			s.t.Fatalf("unreadable fact: %v", err)
		}
		if e.Subject != order || e.Sequence != h.seq+1 || e.PreviousID != h.id {
			continue
		}
		h = head{e.Sequence, e.ID}
		m, err := event.Decode(e)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, string(m.Body.(*wrapperspb.BytesValue).Value))
	}
	return out
}

// copies counts all facts of an order in the log, valid or not.
func (s *stage) copies(order string) int {
	n := 0
	for _, r := range s.log.Read(at("clerk.events.v1", order)) {
		if string(r.Key) == order {
			n++
		}
	}
	return n
}

// letters returns the ids of what is parked for an order, as the dead-letter topic says.
func (s *stage) letters(order string) []string {
	var out []string
	for _, r := range s.log.Read(at("clerk.dead-letters.v1", order)) {
		if string(r.Key) == order {
			out = append(out, header(r, "__dlq.id"))
		}
	}
	return out
}

func header(r broker.Record, key string) string {
	value, _ := r.Headers.Last(key)
	return string(value)
}

// eventually waits for a condition; in a bubble its clock is the bubble's.
func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
		wait()
	}
}

// order is what the store keeps of an order, and the hash that does, without the hash tag of its task.
func (s *stage) order(id string) (hash string, o *orders.Order) {
	return orderstest.Find(id, s.orders(id))
}

// orders are the hashes that keep the orders of an order's task, by their names without the hash tag.
func (s *stage) orders(id string) map[string]map[string]string {
	hashes := map[string]map[string]string{}
	for _, k := range s.redis.Keys(s.t.Context(), key(id, "orders:*")).Val() {
		hashes[strings.TrimPrefix(k, key(id, ""))] = s.redis.HGetAll(s.t.Context(), k).Val()
	}
	return hashes
}

func (s *stage) kept(id string) bool {
	hash, _ := s.order(id)
	return hash != ""
}

// wait lets the others go on for a moment of the clock.
func wait() {
	t := time.NewTimer(10 * time.Millisecond)
	<-t.C
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// keep takes a snapshot of the store; the function it returns goes back to it.
func (s *stage) keep() (restore func()) {
	ctx := s.t.Context()
	var again []func(redis.Pipeliner)
	for _, k := range s.redis.Keys(ctx, "*").Val() {
		switch s.redis.Type(ctx, k).Val() {
		case "hash":
			v := s.redis.HGetAll(ctx, k).Val()
			again = append(again, func(p redis.Pipeliner) { p.HSet(ctx, k, v) })
		case "list":
			v := s.redis.LRange(ctx, k, 0, -1).Val()
			again = append(again, func(p redis.Pipeliner) { p.RPush(ctx, k, v) })
		case "zset":
			v := s.redis.ZRangeWithScores(ctx, k, 0, -1).Val()
			again = append(again, func(p redis.Pipeliner) { p.ZAdd(ctx, k, v...) })
		default:
			s.t.Fatalf("snapshot: key %s of type %s", k, s.redis.Type(ctx, k).Val())
		}
	}
	return func() {
		_, err := s.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.FlushAll(ctx)
			for _, f := range again {
				f(p)
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

package participant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders/orderstest"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// counted is a log that knows how often a topic was read.
type counted struct {
	broker.Log
	topic string
	times atomic.Int32
}

func (l *counted) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	if from[0].Topic == l.topic {
		l.times.Add(1)
	}
	return l.Log.Fetch(ctx, from)
}

// heldBack holds back what is first written until something has happened, or a minute is over.
type heldBack struct {
	until func() bool
	once  atomic.Bool
	waits chan bool // whether it had happened by then
}

func (h *heldBack) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *heldBack) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *heldBack) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if strings.HasPrefix(cmds[0].Name(), "eval") && h.once.CompareAndSwap(false, true) {
			deadline := time.Now().Add(time.Minute)
			for !h.until() && time.Now().Before(deadline) {
				wait()
			}
			h.waits <- h.until()
		}
		return next(ctx, cmds)
	}
}

// A fold reads on while the store has not yet taken what was folded, and loses nothing by it: of orders that left
// memory meanwhile neither, whose next fact comes far behind.
func TestFoldReadsWhileItWrites(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		const facts = "clerk.events.v1"
		if err := s.log.Provision(t.Context(), []broker.Topic{{Name: facts, Partitions: partitions}}); err != nil {
			t.Fatal(err)
		}
		const many = 2500 // more than are kept in memory
		var orders []string
		for n := 0; len(orders) < many; n++ {
			if id := fmt.Sprint("o", n); at(facts, id) == at(facts, "o1") {
				orders = append(orders, id)
			}
		}
		for seq := uint64(1); seq <= 2; seq++ {
			for _, id := range orders {
				s.log.Append(at(facts, id), stamped(t, id, seq))
			}
		}
		log := &counted{Log: s.log, topic: facts}
		held := &heldBack{until: func() bool { return log.times.Load() >= 3 }, waits: make(chan bool, 1)}
		s.redis.(*redis.Client).AddHook(held)
		p, stop := s.playOn(log, clerk(stamp))
		want(t, "the third fetch begins while the first chunk is written", <-held.waits, true)
		s.eventually("folded", func() bool { return p.Ready() == nil })
		stop()
		hashes := s.orders("o1") // once: they are many
		for _, id := range orders {
			_, o := orderstest.Find(id, hashes)
			want(t, id+" is at", o.Own(), chain.Head{Sequence: 2, ID: event.MakeID("fact", id, "2")})
			want(t, id+" holds", o.State, `{"Stamped":["1","2"],"Until":"0001-01-01T00:00:00Z"}`)
		}
	})
}

// trimmed is a log that loses its first record when it has just said where it starts.
type trimmed struct {
	*brokertest.Memory
	log  broker.TopicPartition
	once atomic.Bool
}

func (l *trimmed) Starts(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	starts, err := l.Memory.Starts(ctx, logs)
	if slices.Contains(logs, l.log) && l.once.CompareAndSwap(false, true) {
		l.Trim(l.log, 1)
	}
	return starts, err
}

// What retention takes while a fold begins is passed over, and what is left is folded.
func TestRetentionIsFasterThanAFold(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		log := at("clerk.events.v1", "o1")
		if err := s.log.Provision(t.Context(), []broker.Topic{{Name: log.Topic, Partitions: partitions}}); err != nil {
			t.Fatal(err)
		}
		s.log.Append(log, stamped(t, "o1", 1), stamped(t, "o1", 2))
		p, stop := s.playOn(&trimmed{Memory: s.log, log: log}, clerk(stamp))
		s.eventually("folded", func() bool { return p.Ready() == nil })
		stop()
		_, o := s.order("o1")
		want(t, "what is left is folded", o.Own(), chain.Head{Sequence: 2, ID: event.MakeID("fact", "o1", "2")})
	})
}

// stamped is a fact of the clerk.
func stamped(t *testing.T, order string, seq uint64) broker.Record {
	n := fmt.Sprint(seq)
	data, err := event.Encode(wrapperspb.Bytes([]byte(n)))
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{
		ID: event.MakeID("fact", order, n), Type: event.TypeOf(&wrapperspb.BytesValue{}), Source: "clerk", Subject: order,
		Time: time.Now(), Sequence: seq, CausationID: event.MakeID("cause", order, n), Data: data,
	}
	if seq > 1 {
		e.PreviousID = event.MakeID("fact", order, fmt.Sprint(seq-1))
	}
	tp := at("clerk.events.v1", order)
	return event.ToRecord(e, tp.Topic, tp.Partition)
}

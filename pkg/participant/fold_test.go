package participant_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/storetest"
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
	redis.Hook
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

// A fold reads on while the store has not yet taken what was folded, and loses nothing by it: of orders that left memory meanwhile
// neither, whose next fact comes far behind.
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
		cfg := s.config()
		cfg.Log = log
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		p := participant.New(clerk(stamp), cfg)
		go func() { done <- p.Run(ctx) }()
		want(t, "the third fetch begins while the first chunk is written", <-held.waits, true)
		s.eventually("folded", func() bool { return p.Ready() == nil })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		hashes := map[string]map[string]string{}
		for _, k := range s.redis.Keys(t.Context(), key("o1", "orders:*")).Val() {
			hashes[strings.TrimPrefix(k, key("o1", ""))] = s.redis.HGetAll(t.Context(), k).Val()
		}
		for _, id := range orders {
			_, fields := storetest.Order(id, hashes)
			want(t, id+" is at", fields["own"], "2 "+event.MakeID("fact", id, "2"))
			want(t, id+" holds", fields["state"], `{"Stamped":["1","2"],"Until":"0001-01-01T00:00:00Z"}`)
		}
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

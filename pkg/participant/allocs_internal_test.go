package participant

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/task"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bench is a cycle without a broker and a store: what is measured is what it does itself with one event after another,
// each of an order of its own.
type bench struct {
	c       *cycle
	t       *partition
	tasks   []*partition // t
	records []broker.Record
	n       int
}

// newTestCycle returns a cycle without a broker and a store, and its only partition.
func newTestCycle(b *behavior) (*cycle, *partition) {
	cfg := Config{Partitions: 1}.withDefaults()
	var h handler
	task.NewEngine(context.Background(), task.New(b.engine(cfg, nil)), nil, func(e *engine) task.Handler[*partition] {
		h = newHandler(e, b, cfg, newWatch(e.Instance))
		return h
	})
	return h.cycle, h.New(task.NewPartition(context.Background(), 0, b.topics))
}

func newBench(events int) *bench {
	clerk := Behavior[string]{
		Name: "clerk", FoldVersion: 1, Subscribes: []Subscription{{Topic: "desk.events.v1", Types: []string{"google.protobuf.StringValue"}}},
		React:  func(context.Context, string, event.Message) (proto.Message, error) { return nil, nil },
		Evolve: func(s string, _ event.Message) string { return s + "x" },
	}
	c, t := newTestCycle(clerk.erase())
	b := &bench{c: c, t: t, tasks: []*partition{t}}
	body, _ := event.Encode(wrapperspb.String("a note"))
	for i := range events {
		id := event.MakeID(strconv.Itoa(i))
		r := event.ToRecord(event.Event{ID: event.MakeID(id, "placed"), Type: "google.protobuf.StringValue", Source: "desk", Subject: id,
			Time: time.Unix(1e9, 0), Sequence: 1, Data: body}, "desk.events.v1", 0)
		r.Offset = int64(i)
		b.records = append(b.records, r)
	}
	return b
}

// receive takes the next record in and judges it.
func (b *bench) receive() (*order, *delivery) {
	src := b.t.source("desk.events.v1")
	d := new(delivery)
	d.read(src.Input, &b.records[b.n], b.c.b.requests)
	b.n++
	src.add(d)
	o := newOrder(d.order, b.c.b.zero())
	b.t.orders[d.order] = o
	o.queue.list = append(o.queue.list, d)
	if o.judge(d.topic(), d.ev) != chain.Valid {
		panic("the event is not valid")
	}
	return o, d
}

// decide answers with a fact.
func (b *bench) decide() { o, d := b.receive(); b.t.decide(o, d, wrapperspb.String("a fact")) }

// live is all that the cycle does with an event, up to the store's and the broker's answers.
func (b *bench) live() {
	b.decide()
	b.store()
	for _, e := range b.t.outbox.Sendable("clerk.events.v1", outbox.BatchRecords, outbox.BatchBytes) {
		e.Acked = true
	}
	b.t.source("desk.events.v1").commitable(b.t.outbox.Settled())
}

// store is the store taking what the task has to write.
func (b *bench) store() { b.c.Sent(b.c.Begin(b.tasks)) }

// stages of an event's life, each with those before it, and the allocations that they may take in all.
var stages = []struct {
	name string
	most float64
	run  func(*bench)
}{
	{"receive", 3, func(b *bench) { b.receive() }},
	{"decide", 29, (*bench).decide},
	{"live", 47, (*bench).live},
}

func TestAllocations(t *testing.T) {
	const runs = 500
	for _, s := range stages {
		b := newBench(runs + 1) // AllocsPerRun warms up once
		if got := testing.AllocsPerRun(runs, func() { s.run(b) }); got > s.most {
			t.Errorf("%s allocates %v times, at most %v were wanted", s.name, got, s.most)
		}
	}
}

func BenchmarkStages(b *testing.B) {
	for _, s := range stages {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			bench := newBench(b.N)
			b.ResetTimer()
			for range b.N {
				s.run(bench)
			}
		})
	}
}

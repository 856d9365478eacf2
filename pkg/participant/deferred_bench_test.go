package participant_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// BenchmarkDeferred defers orders, each with an event of 500 bytes, and says what one that waits takes in memory and
// in Redis:
//
//	TEST_REDIS_ADDR=127.0.0.1:6379 go test -run=- -bench=Deferred -benchtime=100000x ./pkg/participant
func BenchmarkDeferred(b *testing.B) {
	rdb, log := storetest.Fresh(b), brokertest.New()
	if err := log.Provision(b.Context(), []broker.Topic{{Name: notes, Partitions: partitions}, {Name: mails, Partitions: partitions}}); err != nil {
		b.Fatal(err)
	}
	data, err := event.Encode(wrapperspb.String(strings.Repeat("x", 500)))
	if err != nil {
		b.Fatal(err)
	}
	ends := map[broker.TopicPartition]int64{}
	for n := range b.N {
		id := event.MakeID(strconv.Itoa(n))
		tp := at(notes, id)
		ends[tp]++
		log.Append(tp, event.ToRecord(event.Event{
			ID: event.MakeID("note", id), Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "desk", Subject: id, Time: time.Now(),
			Sequence: 1, Data: data,
		}, tp.Topic, tp.Partition))
	}
	used := func() float64 {
		text := rdb.Info(b.Context(), "memory").Val()
		_, after, _ := strings.Cut(text, "used_memory:")
		n, _, _ := strings.Cut(after, "\r\n")
		bytes, _ := strconv.ParseFloat(n, 64)
		return bytes
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := used()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	later := func(context.Context, ledger, event.Message) (proto.Message, error) {
		return nil, fault.Defer(0, "mailbox full")
	}
	p := participant.New(clerk(later), participant.Config{Log: log, Redis: rdb, Partitions: partitions})
	b.ResetTimer()
	go func() { done <- p.Run(ctx) }()
	for deferred := false; !deferred; {
		wait()
		committed := log.Committed("clerk")
		deferred = true
		for tp, end := range ends {
			deferred = deferred && committed[tp] == end
		}
	}
	b.StopTimer()
	if err := p.Ready(); err != nil {
		b.Errorf("not ready: %v", err)
	}
	playing, kept := heap(), used()
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	p = nil
	b.ReportMetric((playing-heap())/float64(b.N), "heap-B/order")
	runtime.KeepAlive(log) // what it holds is in both
	b.ReportMetric((kept-before)/float64(b.N), "redis-B/order")
}

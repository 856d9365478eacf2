package participant_test

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// BenchmarkActivity is what telling costs at its worst: every event comes twice, so each has an exception to be told.
// Each operation is one event and its copy, answered and committed.
func BenchmarkActivity(b *testing.B) {
	slog.SetLogLoggerLevel(slog.LevelError)
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("told=%t", on), func(b *testing.B) {
			log, rdb := brokertest.New(), redis.NewClient(&redis.Options{Addr: miniredis.RunT(b).Addr()})
			defer func() { _ = rdb.Close() }()
			var topics []broker.Topic
			for _, topic := range []string{notes, mails} {
				topics = append(topics, broker.Topic{Name: topic, Partitions: partitions})
			}
			if err := log.Provision(b.Context(), topics); err != nil {
				b.Fatal(err)
			}
			want := map[broker.TopicPartition]int64{}
			for i := range b.N {
				tp := at(notes, fmt.Sprint(i))
				r := once(fmt.Sprint(i))
				log.Append(tp, r, r)
				want[tp] += 2
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			b.ResetTimer()
			before := processor(b)
			go func() {
				done <- participant.New(clerk(stamp), participant.Config{Log: log, Redis: rdb, Partitions: partitions, Activity: on}).Run(ctx)
			}()
			for committed := false; !committed; wait() {
				committed = true
				for tp, n := range want {
					committed = committed && log.Committed("clerk")[tp] >= n
				}
			}
			b.ReportMetric(float64(processor(b)-before)/float64(b.N), "cpu-ns/op")
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(len(log.ReadTopic("clerk.activity.v1")))/float64(b.N), "told/op")
		})
	}
}

// once makes the only event of an order.
func once(order string) broker.Record {
	data, _ := event.Encode(wrapperspb.String("a")) // valid text
	tp := at(notes, order)
	return event.ToRecord(event.Event{
		ID: event.MakeID(order), Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "desk", Subject: order, Time: time.Now(), Sequence: 1, Data: data,
	}, tp.Topic, tp.Partition)
}

// processor is the processor time that this process has taken.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

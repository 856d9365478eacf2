package participant_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// On a broker and a store behind a network: two instances share the work, one joins late, one leaves early; every
// event of every order is answered once and in order.
func TestInstancesShareTheWork(t *testing.T) {
	const orders, events = 60, 5
	cfg := brokertest.Fresh(t)
	rdb := storetest.Fresh(t)
	open := func() *broker.Client {
		c, err := broker.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	log := open()
	if err := log.Provision(t.Context(), []broker.Topic{{Name: notes, Partitions: partitions}, {Name: mails, Partitions: partitions}}); err != nil {
		t.Fatal(err)
	}
	play := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		p := participant.New(clerk(stamp), participant.Config{Log: open(), Redis: rdb, Partitions: partitions})
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	s := &stage{t: t, seq: map[string]head{}}
	stopFirst := play()
	var stopSecond func()
	for n := range events {
		for o := range orders {
			r := s.note(notes, fmt.Sprintf("o%d", o), fmt.Sprintf("%d", n))
			produce(t, log, r, r)
		}
		switch n {
		case 1:
			stopSecond = play()
		case 3:
			stopFirst()
		}
	}
	defer stopSecond()
	got := readAnswers(t, log, orders*events)
	for o := range orders {
		want(t, fmt.Sprintf("answers of o%d", o), got[fmt.Sprintf("o%d", o)], []string{"0", "1", "2", "3", "4"})
	}
}

// produce appends records to a log, as a producer does: again while the broker is busy.
func produce(t *testing.T, log broker.Log, records ...broker.Record) {
	t.Helper()
	tp := broker.TopicPartition{Topic: records[0].Topic, Partition: records[0].Partition}
	limit := time.Now().Add(time.Minute)
	for {
		var err error
		log.Produce(t.Context(), []broker.Batch{{TopicPartition: tp, Records: records}}, func(p broker.Produced) { err = p.Err })
		if err == nil {
			return
		}
		if fault.ClassOf(err) != fault.Unavailable || time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}

// readAnswers reads the clerk's facts until there are n valid ones, and each order's in order.
func readAnswers(t *testing.T, log broker.Log, n int) map[string][]string {
	t.Helper()
	from := map[broker.TopicPartition]int64{}
	for p := range partitions {
		from[broker.TopicPartition{Topic: "clerk.events.v1", Partition: p}] = 0
	}
	heads, got := map[string]head{}, map[string][]string{}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for found := 0; found < n; {
		if ctx.Err() != nil {
			t.Fatalf("%d of %d facts", found, n)
		}
		var ps []broker.Position
		for tp, at := range from {
			ps = append(ps, broker.Position{TopicPartition: tp, Offset: at})
		}
		fetched, err := log.Fetch(ctx, ps)
		if err != nil {
			continue // the topic comes with the first instance
		}
		for _, f := range fetched {
			if f.Err != nil {
				continue
			}
			from[f.TopicPartition] = f.Next
			for _, r := range f.Records {
				e, err := event.FromRecord(r)
				if err != nil {
					t.Fatal(err)
				}
				if h := heads[e.Subject]; e.Sequence != h.seq+1 || e.PreviousID != h.id {
					continue
				}
				heads[e.Subject] = head{e.Sequence, e.ID}
				m, err := event.Decode(e)
				if err != nil {
					t.Fatal(err)
				}
				got[e.Subject] = append(got[e.Subject], string(m.Body.(*wrapperspb.BytesValue).Value))
				found++
			}
		}
	}
	return got
}

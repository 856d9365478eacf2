package resend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/services/troupe/resend"
)

func TestAppendsEachRecordOnceMore(t *testing.T) {
	cfg := brokertest.Fresh(t)
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := b.Provision(t.Context(), []broker.Topic{{Name: "t", Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	r, err := resend.Start(t.Context(), cfg.Brokers, []string{"t"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		tp := broker.TopicPartition{Topic: "t", Partition: n % 2}
		rec := broker.Record{Topic: "t", Partition: tp.Partition, Key: []byte("k"), Value: fmt.Append(nil, n),
			Headers: broker.HeadersOf("ce_id", fmt.Sprint(n))}
		b.Produce(t.Context(), []broker.Batch{{TopicPartition: tp, Records: []broker.Record{rec}}}, func(p broker.Produced) {
			if p.Err != nil {
				t.Error(p.Err)
			}
		})
	}
	records := func(p int) []broker.Record {
		got, err := b.Fetch(t.Context(), []broker.Position{{TopicPartition: broker.TopicPartition{Topic: "t", Partition: p}}})
		if err != nil {
			t.Fatal(err)
		}
		return got[0].Records
	}
	until := func(done func() bool) {
		for deadline := time.Now().Add(30 * time.Second); !done(); {
			if time.Now().After(deadline) {
				t.Fatalf("%d and %d records, %d copies", len(records(0)), len(records(1)), r.Copies())
			}
		}
	}
	for n := range 6 {
		put(n)
	}
	until(func() bool { return len(records(0)) >= 6 && len(records(1)) >= 6 })
	put(6) // whoever has copied these has looked at all before them, copies too
	put(7)
	until(func() bool { return r.Copies() >= 8 })
	if err := r.Close(); err != nil || r.Copies() != 8 {
		t.Errorf("%d copies, %v", r.Copies(), err)
	}
	for p := range 2 {
		seen := map[string]int{}
		for _, rec := range records(p)[:6] {
			id, _ := rec.Headers.Last("ce_id")
			seen[string(id)+"="+string(rec.Value)+string(rec.Key)]++
		}
		for what, n := range seen {
			if n != 2 {
				t.Errorf("partition %d: %s is there %d times", p, what, n)
			}
		}
		if n := len(records(p)); n > 8 {
			t.Errorf("partition %d has %d records", p, n)
		}
	}
}

func TestFromTheEndWhatWasThereIsLeftAlone(t *testing.T) {
	cluster := brokertest.Embedded(t)
	cfg := broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1}
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := b.Provision(t.Context(), []broker.Topic{{Name: "t", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	put := func(id string) {
		rec := broker.Record{Topic: "t", Key: []byte("k"), Value: []byte(id), Headers: broker.HeadersOf("ce_id", id)}
		b.Produce(t.Context(), []broker.Batch{{TopicPartition: broker.TopicPartition{Topic: "t"}, Records: []broker.Record{rec}}}, func(p broker.Produced) {
			if p.Err != nil {
				t.Error(p.Err)
			}
		})
	}
	put("old")
	r, err := resend.StartAtEnd(t.Context(), cfg.Brokers, []string{"t"})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for n := 0; r.Copies() == 0; n++ { // it finds the end at some moment from now on
		if time.Now().After(deadline) {
			t.Fatal("nothing was sent twice")
		}
		put(fmt.Sprint("new ", n))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	got, err := b.Fetch(t.Context(), []broker.Position{{TopicPartition: broker.TopicPartition{Topic: "t"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range got[0].Records[1:] {
		if string(rec.Value) == "old" {
			t.Error("what was there was sent twice")
		}
	}
}

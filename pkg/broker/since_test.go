package broker_test

import (
	"maps"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
)

func TestSinceAndLogs(t *testing.T) {
	c := open(t, brokertest.Fresh(t))
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	logs, err := c.Logs(t.Context(), []string{"a", "none"})
	one, two := broker.TopicPartition{Topic: "a"}, broker.TopicPartition{Topic: "a", Partition: 1}
	if err != nil || len(logs) != 1 || len(logs["a"]) != 2 || logs["a"][0] != one || logs["a"][1] != two {
		t.Fatalf("got %v, %v", logs, err)
	}
	began := time.UnixMilli(1e12)
	batch := broker.Batch{TopicPartition: one}
	for i := range 3 {
		batch.Records = append(batch.Records, broker.Record{Key: []byte("k"), Value: []byte("v"), Time: began.Add(time.Duration(i) * time.Second)})
	}
	c.Produce(t.Context(), []broker.Batch{batch}, func(p broker.Produced) { err = p.Err })
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int64{-1e6 * time.Hour: 0, 0: 0, time.Millisecond: 1, time.Second: 1, 2 * time.Second: 2, time.Hour: 3} {
		got, err := c.Since(t.Context(), logs["a"], began.Add(after))
		if err != nil || !maps.Equal(got, map[broker.TopicPartition]int64{one: want, two: 0}) {
			t.Errorf("%v later: %v, %v, want %d in the first log", after, got, err, want)
		}
	}
}

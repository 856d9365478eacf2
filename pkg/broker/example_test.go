package broker_test

import (
	"context"
	"fmt"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/twmb/franz-go/pkg/kfake"
)

// A record is produced to the partition of its key, and a member of a group reads it and commits its position.
func Example() {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1)) // any cluster will do
	if err != nil {
		panic(err)
	}
	defer kafka.Close()
	client, err := broker.Open(broker.Config{Brokers: kafka.ListenAddrs(), ReplicationFactor: 1})
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Close() }()

	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	const partitions = 12
	if err := client.Provision(ctx, []broker.Topic{{Name: "orders", Partitions: partitions}}); err != nil {
		panic(err)
	}
	key := []byte("order-1")
	log := broker.TopicPartition{Topic: "orders", Partition: broker.Partition(key, partitions)}
	placed := broker.Record{Key: key, Value: []byte("placed"), Headers: broker.HeadersOf("ce_id", "1")}
	client.Produce(ctx, []broker.Batch{{TopicPartition: log, Records: []broker.Record{placed}}}, func(p broker.Produced) {
		fmt.Println("produced at offset", p.Base, p.Err)
	})

	serve := func(serving context.Context, g broker.Generation) error {
		defer leave() // one record is enough
		from := max(0, g.Committed(log))
		fetched, err := client.Fetch(serving, []broker.Position{{TopicPartition: log, Offset: from}})
		if err != nil {
			return err
		}
		for _, r := range fetched[0].Records {
			id, _ := r.Headers.Last("ce_id")
			fmt.Printf("%s: %s (event %s)\n", r.Key, r.Value, id)
		}
		return g.Commit(serving, map[broker.TopicPartition]int64{log: fetched[0].Next})
	}
	if err := client.Join(ctx, "example", []string{"orders"}, partitions, serve); err != nil {
		panic(err)
	}
	// Output:
	// produced at offset 0 <nil>
	// order-1: placed (event 1)
}

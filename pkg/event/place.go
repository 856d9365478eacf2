package event

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Misplaced is the error (class Permanent) of a record whose key belongs into another partition: its order would be looked for, and
// decided, where its facts are not. It happens when a topic is grown and PARTITIONS raised to its new number.
func Misplaced(r broker.Record, partitions int) error {
	want := broker.Partition(r.Key, partitions)
	if want == r.Partition || len(r.Key) == 0 {
		return nil
	}
	return fault.New(fault.Permanent, "record %s/%d@%d: its key belongs into partition %d with PARTITIONS=%d: set PARTITIONS to the number it "+
		"was written with (a topic is grown by docs/grow-partitions.md only)", r.Topic, r.Partition, r.Offset, want, partitions)
}

// CheckPlaces reads the first records of all partitions of some topics and returns what is Misplaced of their facts. Partitions that
// were written with another number show it there: of two orders one is misplaced.
func CheckPlaces(ctx context.Context, log broker.Log, topics []string, partitions int) error {
	var all []broker.TopicPartition
	for _, topic := range topics {
		for p := range partitions {
			all = append(all, broker.TopicPartition{Topic: topic, Partition: p})
		}
	}
	starts, err := log.Starts(ctx, all)
	if err != nil {
		return err
	}
	ends, err := log.Ends(ctx, all)
	if err != nil {
		return err
	}
	const firstBytes = 64 << 10 // some hundred facts
	for {
		var from []broker.Position
		for tp, at := range starts {
			if at < ends[tp] {
				from = append(from, broker.Position{TopicPartition: tp, Offset: at, MaxBytes: firstBytes})
			}
		}
		if len(from) == 0 {
			return nil
		}
		got, err := log.Fetch(ctx, from)
		if err != nil {
			return err
		}
		missed, read := error(nil), false
		for _, f := range got {
			if f.Err != nil {
				missed = f.Err // an answer that is full leaves partitions out
				continue
			}
			for _, r := range f.Records {
				if e, err := FromRecord(r); err != nil || e.Sequence == 0 {
					continue // what cannot be read is parked
				}
				if err := Misplaced(r, partitions); err != nil {
					return err
				}
			}
			if f.Next > starts[f.TopicPartition] {
				delete(starts, f.TopicPartition)
				read = true
			}
		}
		if !read && missed != nil {
			return missed
		}
	}
}

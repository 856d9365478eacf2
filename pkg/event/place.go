package event

import (
	"context"
	"log/slog"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Misplaced is the error (class Permanent) of a record whose key belongs into another partition: its order would be
// looked for, and decided, where its facts are not. It happens when a topic is grown and PARTITIONS raised to its new
// number.
func Misplaced(r broker.Record, partitions int) error {
	want := broker.Partition(r.Key, partitions)
	if want == r.Partition || len(r.Key) == 0 {
		return nil
	}
	return fault.New(fault.Permanent, "record %s/%d@%d: its key belongs into partition %d with PARTITIONS=%d: "+
		"set PARTITIONS to the number it was written with (a topic is grown by docs/grow-partitions.md only)",
		r.Topic, r.Partition, r.Offset, want, partitions)
}

// CheckPlaces reads the first records of all partitions of some topics and returns what is Misplaced of their facts.
// Partitions that were written with another number show it there: of two orders one is misplaced. A log that the broker
// refuses to this service is passed over: who reads it says so for as long as that lasts. Every other error is
// Unavailable: the check is to be made again.
func CheckPlaces(ctx context.Context, log broker.Log, topics []string, partitions int) error {
	all := broker.LogsOf(partitions, topics...)
	starts, err := log.Starts(ctx, all)
	if err != nil {
		return fault.As(fault.Unavailable, err)
	}
	ends, err := log.Ends(ctx, all)
	if err != nil {
		return fault.As(fault.Unavailable, err)
	}
	const (
		firstBytes = 64 << 10 // some hundred facts
		idleRounds = 3        // a log that begins with a transaction that never ends has nothing to show
	)
	refused := map[string]bool{}
	for idle := 0; idle < idleRounds; idle++ {
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
			return fault.As(fault.Unavailable, err)
		}
		var missed error
		for _, f := range got {
			switch {
			case fault.ClassOf(f.Err) == fault.Permanent:
				if !refused[f.Topic] {
					slog.Error("a topic cannot be read: not known whether its facts are in their partitions",
						"topic", f.Topic, "error", f.Err)
				}
				refused[f.Topic] = true
			case f.Err != nil:
				missed = f.Err // an answer that is full leaves partitions out
				continue
			case f.Next == starts[f.TopicPartition]:
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
			delete(starts, f.TopicPartition)
			idle = -1
		}
		if idle >= 0 && missed != nil {
			return missed
		}
	}
	return nil
}

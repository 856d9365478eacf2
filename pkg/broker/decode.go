package broker

import (
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// decode copies the records of one log out of a Fetch response. It drops what lies before the asked offset (a batch
// comes whole), control records and the records of aborted transactions, and returns the offset after the last of all
// of these. Of a batch that cannot be read, and never will be, there is one record that says so. taken is what the
// batches of the response take in memory so far.
func decode(from Position, p *kmsg.FetchResponseTopicPartition, taken *int) (records []Record, next int64, err error) {
	next = from.Offset
	aborted := wire.Aborted(p.AbortedTransactions)
	for rest := p.RecordBatches; len(rest) > 0 && *taken < wire.MaxResponseMemory; {
		var b wire.Batch
		if b, rest, err = wire.ReadBatch(rest); errors.Is(err, wire.ErrPartial) {
			break
		}
		if err != nil {
			// Not an outage, which passes by itself and is waited for in silence: somebody must look at the log.
			return records, next,
				fault.New(fault.Permanent, "read %s/%d at %d: %w", from.Topic, from.Partition, next, err)
		}
		if aborted.Keeps(&b) && b.LastOffset() >= from.Offset {
			with, err := appendRecords(records, from, &b, taken)
			switch {
			case errors.Is(err, wire.ErrNoRoom):
				return records, next, nil
			case err != nil:
				records = append(records, unreadable(from, &b, err))
				// The work of it: a response full of bombs would otherwise take longer than anybody waits for it.
				*taken += wire.MaxBatchMemory
			default:
				records = with
			}
		}
		next = max(next, b.LastOffset()+1)
	}
	return records, next, nil
}

// appendRecords appends those of a batch that were asked for. After an error it has appended none.
func appendRecords(records []Record, from Position, b *wire.Batch, taken *int) ([]Record, error) {
	records = slices.Grow(records, min(int(b.NumRecords), wire.MaxRecords))
	for r, err := range b.Records(taken) {
		if err != nil {
			return nil, err
		}
		if r.Offset < from.Offset {
			continue
		}
		records = append(records, Record{Topic: from.Topic, Partition: from.Partition, Offset: r.Offset,
			Key: r.Key, Value: r.Value, Headers: r.Headers, Time: time.UnixMilli(r.Timestamp)})
	}
	return records, nil
}

// unreadable stands for all records of a batch whose head is sound. Nothing more is known of them, not even their keys.
// It lies at the last of their offsets: whoever has read it goes on behind the batch, and whoever has not gets the
// batch again.
func unreadable(from Position, b *wire.Batch, err error) Record {
	return Record{Topic: from.Topic, Partition: from.Partition, Offset: b.LastOffset(),
		Time: time.UnixMilli(b.MaxTimestamp),
		Unreadable: fault.New(fault.Permanent, "the batch of offsets %d to %d of %s/%d cannot be read: %w",
			b.FirstOffset, b.LastOffset(), from.Topic, from.Partition, err)}
}

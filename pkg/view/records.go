package view

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection"
)

const (
	// readWithin bounds reading records by their places.
	readWithin = 10 * time.Second
	// nearby offsets are read at once, up to nearBytes; one that is alone is read alone.
	nearby    = 500
	nearBytes = 256 << 10
)

var errNothing = errors.New("it is silent")

// Records reads records from where they lie. What retention has taken is missing. It blocks until all are read;
// errors are Unavailable.
func Records(ctx context.Context, log broker.Log, at []projection.At) (map[projection.At]broker.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	wanted := map[broker.TopicPartition][]int64{}
	for _, a := range at {
		wanted[a.TopicPartition] = append(wanted[a.TopicPartition], a.Offset)
	}
	for tp, offsets := range wanted {
		slices.Sort(offsets)
		wanted[tp] = slices.Compact(offsets)
	}
	found := map[projection.At]broker.Record{}
	for len(wanted) > 0 {
		got, err := log.Fetch(ctx, positions(wanted))
		if err != nil {
			return nil, fault.As(fault.Unavailable, err)
		}
		moved := false
		var failed error
		for _, f := range got {
			next := f.Next
			switch {
			case errors.Is(f.Err, broker.ErrOutOfRange):
				next = wanted[f.TopicPartition][0] + 1 // it is gone; the next may be there
			case f.Err != nil:
				failed = f.Err // it may be left out of an answer that is full
				continue
			case f.End <= wanted[f.TopicPartition][0]:
				next = math.MaxInt64 // it ends before: another log than was folded
			}
			for _, r := range f.Records {
				if _, ok := slices.BinarySearch(wanted[f.TopicPartition], r.Offset); ok {
					found[projection.At{TopicPartition: f.TopicPartition, Offset: r.Offset}] = r
				}
			}
			moved = moved || next > wanted[f.TopicPartition][0]
			rest := slices.DeleteFunc(wanted[f.TopicPartition], func(o int64) bool { return o < next })
			if wanted[f.TopicPartition] = rest; len(rest) == 0 {
				delete(wanted, f.TopicPartition)
			}
		}
		if !moved {
			return nil, fault.New(fault.Unavailable, "nothing comes of what should be in the log: %w",
				cmp.Or(failed, context.Cause(ctx), errNothing))
		}
	}
	return found, nil
}

// positions asks each log for the first record that is wanted of it, and for those near to it.
func positions(wanted map[broker.TopicPartition][]int64) []broker.Position {
	var from []broker.Position
	for tp, offsets := range wanted {
		p := broker.Position{TopicPartition: tp, Offset: offsets[0], MaxBytes: 1}
		if len(offsets) > 1 && offsets[1]-offsets[0] < nearby {
			p.MaxBytes = nearBytes
		}
		from = append(from, p)
	}
	slices.SortFunc(from, func(a, b broker.Position) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return from
}

package check

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// Tell writes what the log holds about an order, every record in the order of its time, and how far each participant has come in its
// partition.
func (r *Report) Tell(ctx context.Context, w io.Writer, s System, order string) error {
	fmt.Fprintf(w, "order %s\n", order)
	for _, v := range r.Violations {
		if v.Order == order {
			fmt.Fprintf(w, "  ! %s: %s\n", v.Guarantee, v.Text)
		}
	}
	of := slices.DeleteFunc(slices.Clone(r.log.events), func(e recorded) bool { return e.Subject != order })
	slices.SortStableFunc(of, func(a, b recorded) int { return a.Event.Time.Compare(b.Event.Time) })
	for _, e := range of {
		fmt.Fprintf(w, "  %s %s, sequence %d after %q, caused by %q\n", e.Event.Time.Format(time.StampMicro), at(e.Event, e.Record),
			e.Sequence, e.PreviousID, e.CausationID)
	}
	for _, letter := range r.log.letters {
		if string(letter.Key) == order {
			fmt.Fprintf(w, "  %s: %s of %s/%s@%s: %s\n", place(letter), header(letter, "__dlq.record"), header(letter, "__dlq.errors.topic"),
				header(letter, "__dlq.errors.partition"), header(letter, "__dlq.errors.offset"), header(letter, "__dlq.errors.message"))
		}
	}
	partition := broker.Partition([]byte(order), s.Partitions)
	for _, p := range participants {
		committed, err := s.Log.Committed(ctx, p)
		if err != nil {
			return err
		}
		own := map[string]int64{}
		for tp, offset := range committed {
			if tp.Partition == partition {
				own[tp.Topic] = offset
			}
		}
		for _, topic := range slices.Sorted(maps.Keys(own)) {
			fmt.Fprintf(w, "  %s has committed %s/%d to %d\n", p, topic, partition, own[topic])
		}
	}
	return nil
}

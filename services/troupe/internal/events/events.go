// Package events reads topics for people and programs: which records, in which order, and each as a line. It joins no
// consumer group and commits nothing.
package events

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Query says which records are read.
type Query struct {
	Topics []string
	// Order is the key; empty means all.
	Order string
	// Since and Until bound the time of the records, as Kafka's index by time knows it: in each partition from the first
	// that is not older to the one before the next that is not. Zero: from the log's start, and to its end of now.
	Since, Until time.Time
	// Follow goes on with what is appended, until the context ends.
	Follow bool
}

// span is what is read of one log: from an offset on, to the one before another.
type span struct{ from, to int64 }

// Run hands the lines of a query to each, in the order of their partitions; those of one order by time, as far as they
// are in the log at the start. It returns when all are read or ctx ends, and the first error of each.
func Run(ctx context.Context, log *broker.Client, q Query, each func(Line) error) error {
	spans, err := q.spans(ctx, log)
	if err != nil {
		return err
	}
	if q.Order != "" {
		var story []Line
		err := read(ctx, log, spans, q.Order, func(r broker.Record) error {
			story = append(story, LineOf(r))
			return nil
		})
		slices.SortStableFunc(story, func(a, b Line) int { return a.Happened().Compare(b.Happened()) })
		if err != nil {
			return err
		}
		for _, l := range story {
			if err := each(l); err != nil {
				return err
			}
		}
		if !q.Follow {
			return nil
		}
		for tp, told := range spans {
			spans[tp] = span{max(told.from, told.to), forever}
		}
	}
	return read(ctx, log, spans, q.Order, func(r broker.Record) error { return each(LineOf(r)) })
}

// forever is the end of a log that is followed.
const forever = 1<<63 - 1

// spans are the logs of the query and what is read of each. The logs of an order are followed later: see Run.
func (q Query) spans(ctx context.Context, log *broker.Client) (map[broker.TopicPartition]span, error) {
	topics, err := log.Logs(ctx, q.Topics)
	if err != nil {
		return nil, err
	}
	var logs []broker.TopicPartition
	for _, name := range q.Topics {
		of := topics[name]
		if len(of) == 0 {
			return nil, fault.New(fault.NotFound, "there is no topic %q, or this user may not see it", name)
		}
		if q.Order != "" {
			p := broker.Partition([]byte(q.Order), len(of))
			of = slices.DeleteFunc(of, func(tp broker.TopicPartition) bool { return tp.Partition != p })
		}
		logs = append(logs, of...)
	}
	from, err := log.Starts(ctx, logs)
	if !q.Since.IsZero() && err == nil {
		from, err = log.Since(ctx, logs, q.Since)
	}
	if err != nil {
		return nil, err
	}
	to, err := log.Ends(ctx, logs)
	if !q.Until.IsZero() && err == nil {
		to, err = log.Since(ctx, logs, q.Until)
	}
	if err != nil {
		return nil, err
	}
	spans := map[broker.TopicPartition]span{}
	for _, tp := range logs {
		spans[tp] = span{from[tp], to[tp]}
		if q.Follow && q.Order == "" {
			spans[tp] = span{from[tp], forever}
		}
	}
	return spans, nil
}

// read reads the spans, and waits for a Kafka that is away for a while.
func read(ctx context.Context, log *broker.Client, spans map[broker.TopicPartition]span, key string,
	each func(broker.Record) error) error {
	left := maps.Clone(spans)
	for tries := 0; ; {
		var from []broker.Position
		for tp, s := range left {
			if s.from < s.to {
				from = append(from, broker.Position{TopicPartition: tp, Offset: s.from})
			}
		}
		if len(from) == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		fetched, err := log.Fetch(ctx, from)
		for _, f := range fetched {
			if f.Err != nil {
				err = cmp.Or(err, f.Err)
				continue
			}
			to := left[f.TopicPartition].to
			for _, r := range f.Records {
				if r.Offset >= to || key != "" && string(r.Key) != key {
					continue
				}
				if err := each(r); err != nil {
					return err
				}
			}
			left[f.TopicPartition] = span{f.Next, to}
		}
		switch {
		case err == nil:
			tries = 0
		case errors.Is(err, broker.ErrOutOfRange):
			return fault.New(fault.NotFound, "the log no longer holds what was to be read next: it was trimmed, or made anew")
		case fault.ClassOf(err) != fault.Unavailable:
			return err
		default:
			tries++
			if err := wait.Sleep(ctx, wait.Backoff(tries)); err != nil {
				return err
			}
		}
	}
}

// Package view reads what a projection writes: waits until it has passed a place in the log, lists that are kept in
// sorted sets of all partitions, indexes as sums over documents, and records from where a document says they lie.
//
//   - view.go: whether a read can be answered yet
//   - rebuild.go: rebuilds, as REST shows them
//   - list.go: pages of lists
//   - share.go: what a document adds to indexes and counters
//   - records.go: records from their places
//   - moment.go: times as documents keep them
package view

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// SlugBehind is the problem of a read that the read model cannot answer yet.
const SlugBehind = "read-model-behind"

var behind = telemetry.ReadsBehind.Counter()

// View reads the read model of a projection whose documents are D, in whatever instance its partitions are written.
type View[D any] struct {
	Reader     *projection.Reader[D]
	Feed       *projection.Feed
	Partitions int

	rebuilds *rebuild.Door
}

// New returns a view. The feed must run.
func New[D any](b projection.Behavior[D], feed *projection.Feed, rdb redis.UniversalClient, partitions int) *View[D] {
	return &View[D]{
		Reader: projection.NewReader(b, rdb), Feed: feed, Partitions: partitions,
		rebuilds: rebuild.NewDoor(rdb, b.Name, partitions),
	}
}

// Partition of an order.
func (v *View[D]) Partition(id string) int { return broker.Partition([]byte(id), v.Partitions) }

// Every returns all partitions.
func (v *View[D]) Every() []int {
	all := make([]int, v.Partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// Read is that of Reader, of every partition: the problem SlugBehind when one of them is being rebuilt.
func (v *View[D]) Read(ctx context.Context, ask func(pipe projection.Pipes, keys projection.Keys)) error {
	states, err := v.Reader.Read(ctx, v.Every(), ask)
	if err != nil {
		return err
	}
	return v.Whole(ctx, states...)
}

// Whole returns the problem SlugBehind when a partition is being rebuilt, by the states that were read with what is
// asked for: what was whole before may be lost by then.
func (v *View[D]) Whole(ctx context.Context, states ...projection.State) error {
	for _, s := range states {
		if s.Incomplete {
			return v.Behind(ctx, s)
		}
	}
	return nil
}

// Behind returns, and counts, the problem SlugBehind of a partition that cannot answer yet.
func (v *View[D]) Behind(ctx context.Context, s projection.State) error {
	behind.Add(ctx, 1)
	detail := "what was asked for is not in the read model yet"
	if s.Incomplete {
		detail = "the read model is being rebuilt and not whole yet"
	}
	return fault.Later(time.Second, "%w", problem.New(503, SlugBehind, "Read model behind", detail))
}

// Certain waits until all is folded that some logs hold now, at most as long as said; what is not found then is not
// there. Otherwise it is the problem SlugBehind, or Unavailable when the log does not answer.
func (v *View[D]) Certain(
	ctx context.Context, log broker.Log, logs []broker.TopicPartition, within time.Duration,
) error {
	ends, err := log.Ends(ctx, logs)
	if err != nil {
		return fault.As(fault.Unavailable, err)
	}
	limit := time.NewTimer(within)
	defer limit.Stop()
	for last := false; ; {
		states, err := v.Reader.States(ctx, v.Partitions)
		if err != nil {
			return err
		}
		at := -1
		for tp, end := range ends {
			if s := states[tp.Partition]; s.Incomplete || !s.Passed(tp.Topic, end-1) {
				at = tp.Partition
			}
		}
		switch {
		case at < 0:
			return nil
		case last:
			return v.Behind(ctx, states[at])
		}
		moved := v.Feed.Partition(at)
		select {
		case <-moved.C:
		case <-limit.C:
			last = true
		case <-ctx.Done():
			last = true
		}
		moved.Stop()
	}
}

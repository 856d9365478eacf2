package readmodel

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// SlugBehind is the problem of a read that the read model cannot answer yet.
const SlugBehind = "read-model-behind"

var (
	waits  = telemetry.ReadWait.Histogram()
	behind = telemetry.ReadsBehind.Counter()
)

// Model reads the read model, in whatever instance its partitions are written.
type Model struct {
	reader     *projection.Reader[Document]
	rebuilds   *rebuild.Door
	feed       *projection.Feed
	partitions int
}

// New returns a model. The feed must run.
func New(b projection.Behavior[Document], feed *projection.Feed, rdb redis.UniversalClient, partitions int) *Model {
	return &Model{
		reader: projection.NewReader(b, rdb), rebuilds: rebuild.NewDoor(rdb, b.Name, partitions), feed: feed, partitions: partitions,
	}
}

// Found is one order as it is now.
type Found struct {
	ID string
	Document
	// Version grows with every change.
	Version uint64
}

// Events says where the order's events lie.
func (m *Model) Events(f Found) []projection.At {
	at := make([]projection.At, len(f.Document.Events))
	for i, l := range f.Document.Events {
		at[i] = projection.At{TopicPartition: broker.TopicPartition{Topic: Topics[l[0]], Partition: m.Partition(f.ID)}, Offset: l[1]}
	}
	return at
}

// Partition of an order.
func (m *Model) Partition(id string) int { return broker.Partition([]byte(id), m.partitions) }

// every partition.
func (m *Model) every() []int {
	all := make([]int, m.partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// Token is what a read must have passed.
type Token struct {
	broker.TopicPartition
	Offset int64
}

// ParseToken reads a consistency token; the error is Invalid and has no field name.
func (m *Model) ParseToken(text string) (Token, error) {
	tp, offset, err := event.ParseToken(text)
	if err == nil && (!slices.Contains(Topics, tp.Topic) || tp.Partition >= m.partitions) {
		err = fault.New(fault.Invalid, "not a consistency token of this system")
	}
	return Token{tp, offset}, err
}

// Want says what a read of one order waits for.
type Want struct {
	// After: not before this is folded. Nil: whatever is there.
	After *Token
	// Settled: until the order has its outcome.
	Settled bool
	// Wait is the longest wait; 0 does not wait.
	Wait time.Duration
	// Sees says whether the reader may know of a customer's orders: others are as if they were not there, in what is said
	// and in how long that takes. Nil: of everybody's.
	Sees func(customer string) bool
}

// Order returns an order as soon as it is what is wanted. When the wait ends first: an order that is there and has passed the
// token is returned as it is, one that cannot be known yet is the problem SlugBehind, one that is not there is NotFound. Other
// errors are Unavailable.
func (m *Model) Order(ctx context.Context, id string, want Want) (Found, error) {
	began := time.Now()
	if want.After != nil {
		defer func() { waits.Record(ctx, time.Since(began).Seconds()) }()
	}
	changed := m.feed.Order(id)
	defer changed.Stop()
	var moved chan struct{}
	if want.After != nil {
		w := m.feed.Partition(want.After.Partition)
		defer w.Stop()
		moved = w.C
	}
	limit := time.NewTimer(want.Wait)
	defer limit.Stop()
	for last := want.Wait <= 0; ; {
		f, done, err := m.try(ctx, id, want, last)
		if done || err != nil {
			return f, err
		}
		select {
		case <-changed.C:
		case <-moved:
		case <-limit.C:
			last = true
		case <-ctx.Done():
			return Found{}, fault.As(fault.Unavailable, ctx.Err())
		}
	}
}

// try reads once. done: this is the answer; at the last try everything is.
func (m *Model) try(ctx context.Context, id string, want Want, last bool) (f Found, done bool, err error) {
	p := m.Partition(id)
	got, state, err := m.reader.Get(ctx, p, id)
	if err != nil {
		return f, false, err
	}
	passed, err := m.passed(ctx, want.After, p, state)
	if err != nil {
		return f, false, err
	}
	if got.Version != 0 && (want.Sees == nil || want.Sees(got.Doc.Order.Customer)) {
		f = Found{ID: id, Document: got.Doc, Version: got.Version}
	}
	switch placed := f.Status() != ""; {
	case passed && placed && (last || !want.Settled || f.Settled() != 0):
		return f, true, nil
	case !passed && last, passed && !placed && state.Rebuilding && last:
		return Found{}, false, m.behind(ctx, state)
	case passed && f.Version == 0 && !state.Rebuilding, passed && last:
		return Found{}, false, fault.New(fault.NotFound, "there is no order %s", id)
	}
	return f, false, nil
}

func (m *Model) passed(ctx context.Context, after *Token, partition int, state projection.State) (bool, error) {
	switch {
	case after == nil:
		return true, nil
	case after.Partition == partition:
		return state.Passed(after.Topic, after.Offset), nil
	}
	states, err := m.reader.States(ctx, m.partitions)
	return err == nil && states[after.Partition].Passed(after.Topic, after.Offset), err
}

// Known returns an order that has any event, placed or not, without waiting; errors as those of Order.
func (m *Model) Known(ctx context.Context, id string) (Found, error) {
	got, state, err := m.reader.Get(ctx, m.Partition(id), id)
	switch {
	case err != nil:
		return Found{}, err
	case got.Version == 0 && state.Rebuilding:
		return Found{}, m.behind(ctx, state)
	case got.Version == 0:
		return Found{}, fault.New(fault.NotFound, "there is no order %s", id)
	}
	return Found{ID: id, Document: got.Doc, Version: got.Version}, nil
}

// Watch is woken when an order changes, and at least every second. Stop must be called.
func (m *Model) Watch(id string) *projection.Watch { return m.feed.Order(id) }

// whole returns the problem SlugBehind when a partition is being rebuilt.
func (m *Model) whole(ctx context.Context) error {
	states, err := m.reader.States(ctx, m.partitions)
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Rebuilding {
			return m.behind(ctx, s)
		}
	}
	return nil
}

func (m *Model) behind(ctx context.Context, s projection.State) error {
	behind.Add(ctx, 1)
	detail := "what was asked for is not in the read model yet"
	if s.Rebuilding {
		detail = "the read model is being rebuilt and not whole yet"
	}
	return fault.Later(time.Second, "%w", problem.New(503, SlugBehind, "Read model behind", detail))
}

// Passed waits until all that was in some logs is folded, at most as long as said; then it is the problem SlugBehind. ends are the
// offsets that the next records will get.
func (m *Model) Passed(ctx context.Context, ends map[broker.TopicPartition]int64, within time.Duration) error {
	limit := time.NewTimer(within)
	defer limit.Stop()
	for last := false; ; {
		states, err := m.reader.States(ctx, m.partitions)
		if err != nil {
			return err
		}
		at := -1
		for tp, end := range ends {
			if s := states[tp.Partition]; s.Rebuilding || !s.Passed(tp.Topic, end-1) {
				at = tp.Partition
			}
		}
		switch {
		case at < 0:
			return nil
		case last:
			return m.behind(ctx, states[at])
		}
		moved := m.feed.Partition(at)
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

package readmodel

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/view"
)

var waits = telemetry.ReadWait.Histogram()

// Model reads the read model, in whatever instance its partitions are written.
type Model struct{ *view.View[Document] }

// New returns a model. The feed must run.
func New(b projection.Behavior[Document], feed *projection.Feed, rdb redis.UniversalClient, partitions int) *Model {
	return &Model{view.New(b, feed, rdb, partitions)}
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

// Token is what a read must have passed.
type Token struct {
	broker.TopicPartition
	Offset int64
}

// ParseToken reads a consistency token; the error is Invalid and has no field name.
func (m *Model) ParseToken(text string) (Token, error) {
	tp, offset, err := event.ParseToken(text)
	if err == nil && (!slices.Contains(Topics, tp.Topic) || tp.Partition >= m.Partitions) {
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
// token is returned as it is, one that cannot be known yet is the problem view.SlugBehind, one that is not there is NotFound. Other
// errors are Unavailable.
func (m *Model) Order(ctx context.Context, id string, want Want) (Found, error) {
	began := time.Now()
	if want.After != nil {
		defer func() { waits.Record(ctx, time.Since(began).Seconds()) }()
	}
	changed := m.Feed.Order(id)
	defer changed.Stop()
	var moved chan struct{}
	if want.After != nil {
		w := m.Feed.Partition(want.After.Partition)
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
	got, state, err := m.Reader.Get(ctx, p, id)
	if err != nil {
		return f, false, err
	}
	passed, err := m.passed(ctx, want.After, p, state)
	if err != nil {
		return f, false, err
	}
	if got.Version != 0 && seen(want.Sees, got.Doc) {
		f = Found{ID: id, Document: got.Doc, Version: got.Version}
	}
	switch placed := f.Status() != ""; {
	case passed && placed && (last || !want.Settled || f.Settled() != 0):
		return f, true, nil
	case !passed && last, passed && !placed && state.Incomplete && last:
		return Found{}, false, m.Behind(ctx, state)
	case passed && f.Version == 0 && !state.Incomplete, passed && last:
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
	states, err := m.Reader.States(ctx, m.Partitions)
	return err == nil && states[after.Partition].Passed(after.Topic, after.Offset), err
}

// Known returns an order that has any event, placed or not, without waiting; sees is that of Want, errors those of Order.
func (m *Model) Known(ctx context.Context, id string, sees func(customer string) bool) (Found, error) {
	got, state, err := m.Reader.Get(ctx, m.Partition(id), id)
	there := got.Version != 0 && seen(sees, got.Doc)
	switch {
	case err != nil:
		return Found{}, err
	case !there && state.Incomplete:
		return Found{}, m.Behind(ctx, state)
	case !there:
		return Found{}, fault.New(fault.NotFound, "there is no order %s", id)
	}
	return Found{ID: id, Document: got.Doc, Version: got.Version}, nil
}

func seen(sees func(customer string) bool, d Document) bool {
	return sees == nil || sees(d.Order.Customer)
}

// Watch is woken when an order changes, and at least every second. Stop must be called.
func (m *Model) Watch(id string) *projection.Watch { return m.Feed.Order(id) }

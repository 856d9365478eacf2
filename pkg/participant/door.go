package participant

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
)

// Door is where events of a participant come in from outside its topics (HTTP): it publishes them to the participant's own
// topic from any instance, and answers from what the tasks have folded, never from less.
type Door[S any] struct {
	cfg Config
	b   Behavior[S]
}

// Found is an order as its task has folded it.
type Found[S any] struct {
	State S
	// Offset of the order's first fact in the participant's own topic, -1 when the log no longer holds it.
	Offset    int64
	Partition int
}

// Admission is what a door knows about an order id before it publishes the order's first fact.
type Admission[S any] struct {
	// Folded is the order when its first fact is folded already: compare with it. Nil otherwise.
	Folded *Found[S]
	// SameBody: a request with this id and this hash was admitted before (only when Folded is nil and New is false).
	SameBody bool
	// Published: that earlier request's fact is in the log, at Offset. False: still in flight.
	Published bool
	Offset    int64
	Partition int
	// New: nobody was here before; publish now, then call Admitted. The admission lapses by itself after Config's produce time-out.
	New bool
}

// NewDoor returns the door of a participant.
func NewDoor[S any](b Behavior[S], cfg Config) *Door[S] { return &Door[S]{b: b, cfg: cfg} }

// Find returns an order. ok is false only when the partition is folded to the log's end as it was on arrival; a partition that is
// not there yet within the wait is an Unavailable error with RetryAfter.
func (d *Door[S]) Find(ctx context.Context, orderID string, wait time.Duration) (f Found[S], ok bool, err error) {
	panic("not built yet")
}

// Admit asks whether an order id is new, and marks it as taken when it is. hash identifies the request's body. Unavailable
// while that cannot be known.
func (d *Door[S]) Admit(ctx context.Context, orderID, hash string, wait time.Duration) (Admission[S], error) {
	panic("not built yet")
}

// Publish appends one event to the participant's own topic, acks=all, and returns where it is. Requests of one moment share one
// produce request. An error is of class Unavailable: the outcome is unknown and the same event may be published again.
func (d *Door[S]) Publish(ctx context.Context, e event.Event) (partition int, offset int64, err error) {
	panic("not built yet")
}

// Admitted records that the order's first fact is in the log at offset.
func (d *Door[S]) Admitted(ctx context.Context, orderID, hash string, offset int64) error {
	panic("not built yet")
}

package participant

import (
	"context"
	"fmt"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/trace"
)

// delivery is one event on its way through a task: read from an input, or made here (a deadline, a dead letter that is
// redriven, a retry).
type delivery struct {
	in    *task.Input // it was read from; nil: made here
	rec   *broker.Record
	ev    event.Event
	bad   error // why the envelope cannot be read; nil: it was
	order string

	judged bool  // valid by the chain table, and folded if it is a fact of the own topic
	ready  bool  // the next change applies it
	slot   int   // its number in the window of its source
	entry  int64 // highest outbox number that must be settled before this offset may be committed
	failures
	span trace.SpanContext // of the last attempt; not valid where its hop's goes on

	asks *redrive // what a request asks for; nil: it is none, or cannot be read

	// Of a dead letter that is redriven.
	request *delivery          // that asked for it; nil: this is no dead letter
	letter  string             // its id
	edited  bool               // an operator replaced its payload
	refers  *deadletter.Record // where its event is still to be read from; nil: nowhere
}

// redrive is a request about dead letters under way. It stays at the head of its order's queue until it is closed, and
// takes its next step when the store has what the last one did.
type redrive struct {
	deadletter.Request
	automatic bool                 // the participant's own, in no log: made by retryOf (wake.go)
	letter    *delivery            // in work; kept while the queue waits
	held      map[string]*delivery // by topic, the dead letter that is not ready: those of its topic wait behind it
}

// deadlineTopic is what the dead letter of a deadline names as its topic: it came from no log.
const deadlineTopic = "deadline"

// read makes a delivery of a record. One that cannot be read belongs to the order that its key names, if it can be
// that of one, or else to one of its own.
func (d *delivery) read(in *task.Input, r *broker.Record, requests string) {
	d.in, d.rec = in, r
	d.ev, d.bad = event.FromRecord(*r)
	if d.order = d.ev.Subject; d.bad != nil {
		d.order = deadletter.OrderOfKey(r.Key, d.id())
	}
	if r.Topic == requests {
		var q deadletter.Request
		if q, d.bad = deadletter.ParseRequest(*r); d.bad == nil {
			d.asks = &redrive{Request: q, held: map[string]*delivery{}}
		}
	}
}

// deliveryOf is a fact of the own topic that a fold parks.
func deliveryOf(r broker.Record, e event.Event) *delivery {
	return &delivery{rec: &r, ev: e, order: e.Subject}
}

// id is the event's, or where it lies when that cannot be read.
func (d *delivery) id() string {
	if d.ev.ID != "" && d.bad == nil {
		return d.ev.ID
	}
	return fmt.Sprintf("%s/%d@%d", d.rec.Topic, d.rec.Partition, d.rec.Offset)
}

func (d *delivery) topic() string { return d.rec.Topic }

// trace is the context of a delivery's logs: its last attempt, or else the hop that sent it.
func (d *delivery) trace() context.Context {
	if d.span.IsValid() {
		return trace.ContextWithSpanContext(context.Background(), d.span)
	}
	return telemetry.Extract(context.Background(), d.rec.Headers)
}

// place is the log's fields that say which event it is about.
func (d *delivery) place() []any {
	return []any{
		"order_id", d.order, "event_id", d.id(), "topic", d.rec.Topic, "partition", d.rec.Partition, "offset", d.rec.Offset,
	}
}

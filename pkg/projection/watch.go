package projection

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/metric"
)

// watch is what a projection tells the outside: metrics, spans and logs. Of the records that shadows fold only
// their number is told.
type watch struct{ *copies }

// The metrics of a projection.
var (
	eventsFolded      = telemetry.EventsAnswered.Counter()
	eventsDuplicate   = telemetry.EventsDuplicate.Counter()
	eventsSuperseded  = telemetry.EventsSuperseded.Counter()
	eventsUndecodable = telemetry.EventsUndecodable.Counter()
	delays            = telemetry.ProjectionDelay.Histogram()
	contradictions    = telemetry.ProjectionRefolds.Counter()
	forgotten         = telemetry.ProjectionForgets.Counter()
	skipped           = telemetry.ProjectionSkipped.Counter()
	rebuildRecords    = telemetry.RebuildRecords.Counter()
)

// claimed tells who looks for it that a partition changed hands, and whether it is folded from the log's start.
func (w *watch) claimed(partition int, reset bool) {
	from := "resume"
	if reset {
		from = "start"
	}
	w.Logger.Info("partition taken over", "partition", partition, "from", from)
}

func (w *watch) unreadable(partition int, err error) {
	w.Logger.Error("stored document cannot be read, folding from the log's start", "partition", partition, "error", err)
}

// contradicted counts every order, and tells of the first one of a partition that is in doubt.
func (w *watch) contradicted(partition int, orders []string) {
	w.By().Add(context.Background(), contradictions, int64(len(orders)))
	w.Logger.Warn("order contradicted, rebuilding its partition", "partition", partition, "order_id", orders[0])
}

func (w *watch) unstorable(order string, err error) {
	w.Logger.Error("a document cannot be stored, and stays as it was", "order_id", order, "error", err)
}

func (w *watch) forgot(n int) { w.By().Add(context.Background(), forgotten, int64(n)) }

// skipped counts records that retention took before they were folded: the read model lacks them for good, unless
// everything of their orders is gone as well.
func (w *watch) skipped(tp broker.TopicPartition, from, to int64) {
	w.By(telemetry.Topic.String(tp.Topic)).Add(context.Background(), skipped, to-from)
	w.Logger.Warn("records were deleted before they were read",
		"topic", tp.Topic, "partition", tp.Partition, "offset", from, "start", to)
}

// tally counts what became of the records of one topic in a step.
type tally struct{ folded, duplicate, void, undecodable int64 }

func (t *tally) add(j chain.Verdict, err error) {
	switch {
	case err != nil:
		t.undecodable++
	case j == chain.Duplicate:
		t.duplicate++
	case j == chain.Superseded:
		t.void++
	case j == chain.Contradicted: // counted with what follows
	default:
		t.folded++
	}
}

// counted reports the records of one topic in a step that began then.
func (w *watch) counted(topic string, t tally, began time.Time) {
	if w.shadow || t == (tally{}) {
		return
	}
	ctx := context.Background()
	telemetry.Processed(topic, w.Name, began, nil)
	by := w.By(telemetry.Topic.String(topic))
	for _, n := range []struct {
		counter metric.Int64Counter
		n       int64
	}{{eventsFolded, t.folded}, {eventsSuperseded, t.void}, {eventsUndecodable, t.undecodable}} {
		if n.n > 0 {
			by.Add(ctx, n.counter, n.n)
		}
	}
	if t.duplicate > 0 {
		w.By(telemetry.Topic.String(topic), telemetry.Reason.String("answered")).Add(ctx, eventsDuplicate, t.duplicate)
	}
}

// refused warns of a record that is bad: superseded, when there is no error.
func (w *watch) refused(ctx context.Context, r *broker.Record, e event.Event, err error) {
	log := w.Logger.With("topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "event_id", e.ID)
	if err != nil {
		log.WarnContext(ctx, "record cannot be read", "order_id", string(r.Key), "error", err)
		return
	}
	log.WarnContext(ctx, "void fact", "order_id", e.Subject)
}

// applied reports one step that the store took.
func (w *watch) applied(s *step) {
	by := w.By()
	if w.shadow {
		by.Add(context.Background(), rebuildRecords, int64(len(s.delays)))
		return
	}
	now := time.Now()
	for _, at := range s.delays {
		if !at.IsZero() {
			by.Record(context.Background(), delays, now.Sub(at).Seconds())
		}
	}
}

func (w *watch) rebuildFailed(err error) { w.Logger.Error("rebuild failed", "error", err) }

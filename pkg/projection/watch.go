package projection

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// watch is what a projection tells the outside: metrics, spans and logs.
type watch struct {
	log  *slog.Logger
	name string
	gauges
}

// The metrics of a projection.
var (
	eventsFolded      = telemetry.EventsAnswered.Counter()
	eventsDuplicate   = telemetry.EventsDuplicate.Counter()
	eventsVoid        = telemetry.EventsVoid.Counter()
	eventsUndecodable = telemetry.EventsUndecodable.Counter()
	tasksClaimed      = telemetry.TasksClaimed.Counter()
	tasksLost         = telemetry.TasksLost.Counter()
	applyDuration     = telemetry.ApplyDuration.Histogram()
	applySize         = telemetry.ApplySize.Sizes()
	delays            = telemetry.ProjectionDelay.Histogram()
	refolds           = telemetry.ProjectionRefolds.Counter()
	forgotten         = telemetry.ProjectionForgets.Counter()
	skipped           = telemetry.ProjectionSkipped.Counter()
	rebuilds          = telemetry.Rebuilds.Counter()
	rebuildRecords    = telemetry.RebuildRecords.Counter()
	rebuildDiffering  = telemetry.RebuildDiffering.Counter()
	rebuildCleared    = telemetry.RebuildCleared.Counter()
)

func newWatch(name string) *watch {
	return &watch{log: slog.With("projection", name), name: name}
}

func (w *watch) by(kv ...attribute.KeyValue) *telemetry.Labels {
	all := append(make([]attribute.KeyValue, 0, 4), kv...) // on the stack
	return telemetry.By(append(all, telemetry.Participant.String(w.name))...)
}

func (w *watch) waiting(part string, err error) {
	w.log.Warn("projection is waiting", "for", part, "error", err)
}

func (w *watch) joined(generation string, partitions int) {
	w.log.Info("projection joined its group", "generation", generation, "partitions", partitions)
}

func (w *watch) claimed(partition int, reset bool) {
	from := "resume"
	if reset {
		from = "start"
	}
	w.by().Add(context.Background(), tasksClaimed, 1)
	w.log.Info("partition taken over", "partition", partition, "from", from)
}

func (w *watch) lost(partition int, v taskstore.Verdict) {
	w.by(telemetry.Reason.String(v.String())).Add(context.Background(), tasksLost, 1)
	w.log.Warn("partition lost", "partition", partition, "verdict", v.String())
}

func (w *watch) replaced(partition int, topics ...string) {
	w.by(telemetry.Reason.String("replaced")).Add(context.Background(), tasksLost, 1)
	w.log.Error("what is stored does not belong to this log, folding from its start",
		"partition", partition, "topics", topics)
}

func (w *watch) unreadable(partition int, err error) {
	w.log.Error("stored document cannot be read, folding from the log's start", "partition", partition, "error", err)
}

func (w *watch) refold(partition int, orderID string) {
	w.by().Add(context.Background(), refolds, 1)
	w.log.Warn("order contradicted, folding it from the log's start", "partition", partition, "order_id", orderID)
}

func (w *watch) refoldFailed(err error) {
	w.log.Warn("orders are not folded again yet, trying again", "error", err)
}

func (w *watch) forgot(n int) { w.by().Add(context.Background(), forgotten, int64(n)) }

func (w *watch) skipped(tp broker.TopicPartition, from, to int64) {
	w.by(telemetry.Topic.String(tp.Topic)).Add(context.Background(), skipped, to-from)
	w.log.Warn("records were deleted before they were read", "topic", tp.Topic, "partition", tp.Partition, "offset", from, "start", to)
}

func (w *watch) commitFailed(err error) {
	w.log.Warn("offsets were not committed", "error", err)
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
	case j == chain.Contradicted: // counted with the order, which is folded again
	default:
		t.folded++
	}
}

// counted reports the records of one topic in a step that began then.
func (w *watch) counted(topic string, t tally, began time.Time) {
	if t == (tally{}) {
		return
	}
	ctx := context.Background()
	telemetry.Processed(topic, w.name, began, nil)
	by := w.by(telemetry.Topic.String(topic))
	for _, n := range []struct {
		counter metric.Int64Counter
		n       int64
	}{{eventsFolded, t.folded}, {eventsVoid, t.void}, {eventsUndecodable, t.undecodable}} {
		if n.n > 0 {
			by.Add(ctx, n.counter, n.n)
		}
	}
	if t.duplicate > 0 {
		w.by(telemetry.Topic.String(topic), telemetry.Reason.String("answered")).Add(ctx, eventsDuplicate, t.duplicate)
	}
}

// refused warns of a record that is bad: void, when there is no error.
func (w *watch) refused(ctx context.Context, r *broker.Record, e event.Event, err error) {
	if err != nil {
		w.log.WarnContext(ctx, "record cannot be read", "order_id", string(r.Key), "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "event_id", e.ID, "error", err)
		return
	}
	w.log.WarnContext(ctx, "void fact", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "order_id", e.Subject, "event_id", e.ID)
}

// applyTook reports one pipeline.
func (w *watch) applyTook(began time.Time) {
	w.by().Record(context.Background(), applyDuration, time.Since(began).Seconds())
}

// applied reports one change that the store took.
func (w *watch) applied(ch *change) {
	if len(ch.Ops) == 0 {
		return
	}
	by := w.by()
	if len(ch.delays) > 0 {
		by.Record(context.Background(), applySize, float64(len(ch.delays)))
	}
	now := time.Now()
	for _, at := range ch.delays {
		if !at.IsZero() {
			by.Record(context.Background(), delays, now.Sub(at).Seconds())
		}
	}
}

func (w *watch) rebuildBegan(partition int, r Rebuild) {
	w.log.Info("rebuild began", "partition", partition, "rebuild", r.ID, "release", r.Release, "records", r.Of)
}

func (w *watch) rebuilt(records int64) { w.by().Add(context.Background(), rebuildRecords, records) }

// rebuildEnded reports a swap, or why there was none. Which keys differ is in its state: some names hold a customer's id.
func (w *watch) rebuildEnded(partition int, r Rebuild) {
	outcome, level := string(r.State), slog.LevelInfo
	if r.State.Active() {
		outcome, level = "broken_off", slog.LevelWarn
	}
	if r.Differing > 0 {
		level = slog.LevelWarn
		w.by().Add(context.Background(), rebuildDiffering, int64(r.Differing))
	}
	w.by(telemetry.Reason.String(outcome)).Add(context.Background(), rebuilds, 1)
	w.log.Log(context.Background(), level, "rebuild ended", "partition", partition, "rebuild", r.ID, "outcome", outcome,
		"records", r.Folded, "differing", r.Differing, "live_hash", r.LiveHash, "rebuilt_hash", r.RebuiltHash)
}

func (w *watch) passFailed(err error) { w.log.Warn("look through the key spaces failed", "error", err) }

func (w *watch) cleared(keys int) { w.by().Add(context.Background(), rebuildCleared, int64(keys)) }

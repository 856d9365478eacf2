package projection

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/store"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// watch is what a projection tells the outside: metrics, spans and logs.
type watch struct {
	log  *slog.Logger
	name string
	gauges
	topics map[string]metric.MeasurementOption // made once: it is asked for with each record. Of the cycle alone
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
	return &watch{log: slog.With("projection", name), name: name, topics: map[string]metric.MeasurementOption{}}
}

func (w *watch) set(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(kv, telemetry.Participant.String(w.name))...))
}

func (w *watch) topic(name string) metric.MeasurementOption {
	by, ok := w.topics[name]
	if !ok {
		by = w.set(telemetry.Topic.String(name))
		w.topics[name] = by
	}
	return by
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
	tasksClaimed.Add(context.Background(), 1, w.set())
	w.log.Info("partition taken over", "partition", partition, "from", from)
}

func (w *watch) lost(partition int, v store.Verdict) {
	tasksLost.Add(context.Background(), 1, w.set(telemetry.Reason.String(v.String())))
	w.log.Warn("partition lost", "partition", partition, "verdict", v.String())
}

func (w *watch) replaced(partition int) {
	tasksLost.Add(context.Background(), 1, w.set(telemetry.Reason.String("replaced")))
	w.log.Error("what is stored does not belong to this log, folding from its start", "partition", partition)
}

func (w *watch) unreadable(partition int, err error) {
	w.log.Error("stored document cannot be read, folding from the log's start", "partition", partition, "error", err)
}

func (w *watch) refold(partition int, orderID string) {
	refolds.Add(context.Background(), 1, w.set())
	w.log.Warn("order contradicted, folding it from the log's start", "partition", partition, "order_id", orderID)
}

func (w *watch) forgot(n int) { forgotten.Add(context.Background(), int64(n), w.set()) }

func (w *watch) skipped(tp broker.TopicPartition, from, to int64) {
	skipped.Add(context.Background(), to-from, w.set(telemetry.Topic.String(tp.Topic)))
	w.log.Warn("records were deleted before they were read", "topic", tp.Topic, "partition", tp.Partition, "offset", from, "start", to)
}

func (w *watch) commitFailed(err error) {
	w.log.Warn("offsets were not committed", "error", err)
}

// folded reports one record: a count, and a warning when it is bad.
func (w *watch) folded(ctx context.Context, r *broker.Record, e event.Event, outcome string, err error) {
	counter, by := eventsFolded, w.topic(r.Topic)
	switch {
	case err != nil:
		counter = eventsUndecodable
	case outcome == "duplicate":
		counter, by = eventsDuplicate, w.set(telemetry.Topic.String(r.Topic), telemetry.Reason.String("answered"))
	case outcome == "void":
		counter = eventsVoid
	}
	counter.Add(ctx, 1, by)
	switch {
	case err != nil:
		w.log.WarnContext(ctx, "record cannot be read", "order_id", string(r.Key), "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "event_id", e.ID, "error", err)
	case outcome == "void":
		w.log.WarnContext(ctx, "void fact", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "order_id", e.Subject, "event_id", e.ID)
	}
}

// applyTook reports one pipeline.
func (w *watch) applyTook(began time.Time) {
	applyDuration.Record(context.Background(), time.Since(began).Seconds(), w.set())
}

// applied reports one change that the store took.
func (w *watch) applied(ch *change) {
	if len(ch.Ops) == 0 {
		return
	}
	by := w.set()
	if len(ch.delays) > 0 {
		applySize.Record(context.Background(), float64(len(ch.delays)), by)
	}
	now := time.Now()
	for _, at := range ch.delays {
		if !at.IsZero() {
			delays.Record(context.Background(), now.Sub(at).Seconds(), by)
		}
	}
}

func (w *watch) rebuildBegan(partition int, r Rebuild) {
	w.log.Info("rebuild began", "partition", partition, "rebuild", r.ID, "release", r.Release, "records", r.Of)
}

func (w *watch) rebuilt(records int64) { rebuildRecords.Add(context.Background(), records, w.set()) }

// rebuildEnded reports a swap, or why there was none. Which keys differ is in its state: some names hold a customer's id.
func (w *watch) rebuildEnded(partition int, r Rebuild) {
	outcome, level := string(r.State), slog.LevelInfo
	if r.State.Active() {
		outcome, level = "broken_off", slog.LevelWarn
	}
	if r.Differing > 0 {
		level = slog.LevelWarn
		rebuildDiffering.Add(context.Background(), int64(r.Differing), w.set())
	}
	rebuilds.Add(context.Background(), 1, w.set(telemetry.Reason.String(outcome)))
	w.log.Log(context.Background(), level, "rebuild ended", "partition", partition, "rebuild", r.ID, "outcome", outcome,
		"records", r.Folded, "differing", r.Differing, "live_hash", r.LiveHash, "rebuilt_hash", r.RebuiltHash)
}

func (w *watch) passFailed(err error) { w.log.Warn("look through the key spaces failed", "error", err) }

func (w *watch) cleared(keys int) { rebuildCleared.Add(context.Background(), int64(keys), w.set()) }

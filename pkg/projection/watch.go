package projection

import (
	"context"
	"log/slog"
	"strconv"
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
}

// The metrics of a projection.
var (
	events    = telemetry.Metric{Name: "troupe.projection.events", Unit: "{event}", Description: "Records read, by what became of them."}.Counter()
	takeovers = telemetry.Metric{Name: "troupe.projection.takeovers", Unit: "{task}", Description: "Partitions taken over, by where the fold goes on: resume or start."}.Counter()
	losses    = telemetry.Metric{Name: "troupe.projection.losses", Unit: "{task}", Description: "Partitions dropped and taken over again, by why: lost, fenced, replaced."}.Counter()
	refolds   = telemetry.Metric{Name: "troupe.projection.refolds", Unit: "{order}", Description: "Orders folded again from the log's start, because a fact contradicted an adopted head."}.Counter()
	forgotten = telemetry.Metric{Name: "troupe.projection.forgotten", Unit: "{order}", Description: "Documents deleted because they are older than the retention."}.Counter()
	outOfSpan = telemetry.Metric{Name: "troupe.projection.skipped", Unit: "{record}", Description: "Offsets that retention took before they were read."}.Counter()
	steps     = telemetry.Metric{Name: "troupe.projection.apply.duration", Unit: "s", Description: "How long one apply to Redis takes, for all tasks of an instance."}.Histogram()
	delays    = telemetry.Metric{Name: "troupe.projection.delay", Unit: "s", Description: "From a record's append to its place in the read model."}.Histogram()
	lags      = telemetry.Metric{Name: "troupe.projection.lag", Unit: "{record}", Description: "Records of a log that are not in the read model yet."}.Gauge()
)

func newWatch(name string) *watch { return &watch{log: slog.With("projection", name), name: name} }

func (w *watch) set(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(kv, telemetry.Participant.String(w.name))...))
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
	takeovers.Add(context.Background(), 1, w.set(attribute.String("from", from)))
	w.log.Info("partition taken over", "partition", partition, "from", from)
}

func (w *watch) lost(partition int, v store.Verdict) {
	losses.Add(context.Background(), 1, w.set(attribute.String("verdict", v.String())))
	w.log.Warn("partition lost", "partition", partition, "verdict", v.String())
}

func (w *watch) replaced(partition int) {
	losses.Add(context.Background(), 1, w.set(attribute.String("verdict", "replaced")))
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
	outOfSpan.Add(context.Background(), to-from, w.set(telemetry.Topic.String(tp.Topic)))
	w.log.Warn("records were deleted before they were read", "topic", tp.Topic, "partition", tp.Partition, "offset", from, "start", to)
}

func (w *watch) lag(tp broker.TopicPartition, records int64) {
	lags.Record(context.Background(), float64(records), w.set(telemetry.Topic.String(tp.Topic), telemetry.Partition.String(strconv.Itoa(tp.Partition))))
}

func (w *watch) commitFailed(err error) {
	w.log.Warn("offsets were not committed", "error", err)
}

// folded reports one record: a count, and a warning when it is bad.
func (w *watch) folded(ctx context.Context, r *broker.Record, e event.Event, outcome string, err error) {
	events.Add(ctx, 1, w.set(telemetry.Topic.String(r.Topic), attribute.String("outcome", outcome)))
	switch {
	case err != nil:
		w.log.WarnContext(ctx, "record cannot be read", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "event_id", e.ID, "error", err)
	case outcome == "void":
		w.log.WarnContext(ctx, "void fact", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "order_id", e.Subject, "event_id", e.ID)
	}
}

// applyTook reports one pipeline.
func (w *watch) applyTook(began time.Time) {
	steps.Record(context.Background(), time.Since(began).Seconds(), w.set())
}

// applied reports one change that the store took.
func (w *watch) applied(ch *change) {
	if len(ch.Ops) == 0 {
		return
	}
	now := time.Now()
	for _, at := range ch.delays {
		if !at.IsZero() {
			delays.Record(context.Background(), now.Sub(at).Seconds(), w.set())
		}
	}
}

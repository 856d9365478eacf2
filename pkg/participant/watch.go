package participant

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Every quiet branch (dropping, skipping, ignoring) counts in one of these.
var (
	eventsAnswered    = telemetry.EventsAnswered.Counter()
	eventsUnanswered  = telemetry.EventsUnanswered.Counter()
	eventsDuplicate   = telemetry.EventsDuplicate.Counter()
	eventsVoid        = telemetry.EventsVoid.Counter()
	eventsHeld        = telemetry.EventsHeld.Counter()
	eventsRetried     = telemetry.EventsRetried.Counter()
	eventsParked      = telemetry.EventsParked.Counter()
	eventsUndecodable = telemetry.EventsUndecodable.Counter()
	deadlinesFired    = telemetry.DeadlinesFired.Counter()
	applyDuration     = telemetry.ApplyDuration.Histogram()
	publishRetried    = telemetry.PublishRetried.Counter()
	publishUnexpected = telemetry.PublishUnexpected.Counter()
	tasksClaimed      = telemetry.TasksClaimed.Counter()
	tasksLost         = telemetry.TasksLost.Counter()
	tasksRunning      = telemetry.TasksRunning.Gauge()
	recordsFolded     = telemetry.RecordsFolded.Counter()
	outboxEntries     = telemetry.OutboxEntries.Gauge()
	lanesWaiting      = telemetry.LanesWaiting.Gauge()
	ordersParked      = telemetry.OrdersParked.Gauge()
	lagRecords        = telemetry.LagRecords.Gauge()
	lagTime           = telemetry.LagTime.Gauge()
	offsetsOutOfRange = telemetry.OffsetsOutOfRange.Counter()
)

// watch counts, times and logs what the cycle of one participant does.
type watch struct {
	name  string
	label attribute.KeyValue
	log   *slog.Logger
	said  time.Time // when the gauges were set last
}

func newWatch(name string) *watch {
	return &watch{name: name, label: telemetry.Participant.String(name), log: slog.With("participant", name)}
}

func (w *watch) count(c metric.Int64Counter, n int, kv ...attribute.KeyValue) {
	c.Add(context.Background(), int64(n), metric.WithAttributes(append(kv, w.label)...))
}

func (w *watch) event(c metric.Int64Counter, d *delivery, kv ...attribute.KeyValue) {
	w.count(c, 1, append(kv, telemetry.Topic.String(d.topic()))...)
}

// place are the log's fields that say which event it is about.
func (d *delivery) place() []any {
	return []any{"order_id", d.order, "event_id", d.id(), "topic", d.rec.Topic, "partition", d.rec.Partition, "offset", d.rec.Offset}
}

func (w *watch) failed(d *delivery, class fault.Class, err error) {
	if class == fault.NotYet {
		w.event(eventsHeld, d)
		return
	}
	w.event(eventsRetried, d, telemetry.Reason.String(class.String()))
	w.log.Warn("an event failed", append(d.place(), "class", class.String(), "tries", d.tries, "error", firstLine(err.Error()))...)
}

func (w *watch) void(d *delivery) {
	w.event(eventsVoid, d)
	w.log.Warn("void fact passed over", d.place()...)
}

func (w *watch) parked(d *delivery, cause error) {
	class, message := "behind", ""
	if cause != nil {
		class, message = classOf(cause).String(), firstLine(cause.Error())
	}
	w.event(eventsParked, d, telemetry.Reason.String(class))
	w.log.Error("event parked", append(d.place(), "class", class, "error", message)...)
}

// unreadable is a record of an own topic that the fold cannot read.
func (w *watch) unreadable(r broker.Record) {
	w.count(eventsUndecodable, 1, telemetry.Topic.String(r.Topic))
	w.log.Error("a record of an own topic cannot be read", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset)
}

func (w *watch) voidFolded(r broker.Record) { w.count(eventsVoid, 1, telemetry.Topic.String(r.Topic)) }

func (w *watch) contradicted(r broker.Record) {
	w.log.Warn("the log contradicts what was decided; the log wins", "order_id", string(r.Key), "topic", r.Topic,
		"partition", r.Partition, "offset", r.Offset)
}

func (w *watch) lost(t *task, why string) {
	w.count(tasksLost, 1, telemetry.Reason.String(why))
	w.log.Warn("task lost, folding again", "partition", t.partition, "why", why)
}

func (w *watch) applied(began time.Time) {
	applyDuration.Record(context.Background(), time.Since(began).Seconds(), metric.WithAttributes(w.label))
}

// gauges says where the tasks are, once a second.
func (w *watch) gauges(tasks map[int]*task) {
	now := time.Now()
	if now.Sub(w.said) < time.Second {
		return
	}
	w.said = now
	var running, outbox, waiting, parked, lag float64
	var oldest time.Duration
	for _, t := range tasks {
		if t.dead {
			continue
		}
		running++
		outbox += float64(len(t.outbox))
		parked += float64(len(t.parked))
		for o := range t.retries {
			if o.lane.waiting {
				waiting++
			}
		}
		for _, s := range t.sources {
			lag += float64(max(0, s.end-s.cursor) + int64(s.pending))
			if len(s.window) > 0 && s.pending > 0 {
				oldest = max(oldest, now.Sub(s.window[0].rec.Time))
			}
		}
	}
	set := func(g metric.Float64Gauge, v float64) {
		g.Record(context.Background(), v, metric.WithAttributes(w.label))
	}
	set(tasksRunning, running)
	set(outboxEntries, outbox)
	set(lanesWaiting, waiting)
	set(ordersParked, parked)
	set(lagRecords, lag)
	set(lagTime, oldest.Seconds())
}

// process begins the consumer span of one attempt, child of the hop that sent the record.
func (w *watch) process(ctx context.Context, d *delivery) (context.Context, func(error)) {
	rec := d.rec
	if d.src == nil {
		rec.Topic = "deadline"
		w.event(deadlinesFired, d)
	}
	ctx, end := telemetry.Process(ctx, rec, w.name)
	d.span = trace.SpanContextFromContext(ctx)
	return ctx, end
}

// send begins the producer span of the fact that answers a delivery; the headers carry it to whoever hears the fact. It ends
// when the broker has answered.
func (w *watch) send(d *delivery, to broker.TopicPartition, id string) (headers []broker.Header, ended func(error)) {
	ctx, ended := telemetry.Send(trace.ContextWithSpanContext(context.Background(), d.span), to, id, d.order)
	return telemetry.Inject(ctx, nil), ended
}

package participant

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/store"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// watch counts and times what the cycle does. Every quiet branch (dropping, skipping, ignoring) has a counter here.
type watch struct {
	name   string
	set    metric.MeasurementOption
	tracer trace.Tracer

	events    metric.Int64Counter
	failures  metric.Int64Counter
	voids     metric.Int64Counter
	lostTasks metric.Int64Counter
	letters   metric.Int64Counter
	skipped   metric.Int64Counter
	foldedN   metric.Int64Counter
	sent      metric.Int64Counter
	consumedN metric.Int64Counter
	applyTime metric.Float64Histogram
	reactTime metric.Float64Histogram
	batch     metric.Int64Histogram
}

const scope = "github.com/troupe-dev/troupe/pkg/participant"

func newWatch(name string) (*watch, error) {
	m := otel.Meter(scope)
	w := &watch{name: name, tracer: otel.Tracer(scope), set: metric.WithAttributes(attribute.String("participant", name))}
	var err error
	counter := func(name, what string) metric.Int64Counter {
		c, e := m.Int64Counter(name, metric.WithDescription(what))
		if e != nil {
			err = e
		}
		return c
	}
	seconds := func(name, what string) metric.Float64Histogram {
		h, e := m.Float64Histogram(name, metric.WithDescription(what), metric.WithUnit("s"),
			metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
		if e != nil {
			err = e
		}
		return h
	}
	w.events = counter("troupe.participant.events", "events by what became of them: answered, nothing, duplicate, undecodable")
	w.failures = counter("troupe.participant.failures", "attempts that failed, by class")
	w.voids = counter("troupe.participant.voids", "facts that were not the next of their order: one is worth a look, many an alert")
	w.lostTasks = counter("troupe.participant.tasks.lost", "tasks given up and taken over again, by cause: lost, fenced, contradicted")
	w.letters = counter("troupe.participant.letters", "events parked, by class of error")
	w.skipped = counter("troupe.participant.skipped", "records passed over, by why: unreadable, out_of_range, gap")
	w.foldedN = counter("troupe.participant.folded", "records of own topics folded when taking over")
	w.sent = counter("messaging.client.sent.messages", "records published")
	w.consumedN = counter("messaging.client.consumed.messages", "records consumed")
	w.applyTime = seconds("troupe.participant.apply.duration", "one apply of all tasks")
	w.reactTime = seconds("messaging.process.duration", "one call of React")
	h, e := m.Int64Histogram("troupe.participant.apply.ops", metric.WithDescription("commands in one apply of all tasks"),
		metric.WithExplicitBucketBoundaries(1, 3, 10, 30, 100, 300, 1000, 3000, 10000))
	if e != nil {
		err = e
	}
	w.batch = h
	return w, err
}

func (w *watch) add(c metric.Int64Counter, n int, kv ...attribute.KeyValue) {
	c.Add(context.Background(), int64(n), w.set, metric.WithAttributes(kv...))
}

func (w *watch) event(d *delivery, what string) {
	w.add(w.events, 1, attribute.String("outcome", what), attribute.String("type", d.ev.Type))
}

func (w *watch) failure(d *delivery, class fault.Class, err error) {
	w.add(w.failures, 1, attribute.String("class", class.String()), attribute.String("type", d.ev.Type))
	if class != fault.NotYet {
		slog.Warn("an event failed", "participant", w.name, "order_id", d.order, "event_id", d.id(), "topic", d.rec.Topic,
			"partition", d.rec.Partition, "offset", d.rec.Offset, "class", class.String(), "tries", d.tries, "error", firstLine(err.Error()))
	}
}

func (w *watch) void(d *delivery) {
	w.add(w.voids, 1, attribute.String("topic", d.rec.Topic))
	slog.Warn("void fact passed over", "participant", w.name, "order_id", d.order, "event_id", d.id(), "topic", d.rec.Topic,
		"partition", d.rec.Partition, "offset", d.rec.Offset)
}

func (w *watch) voidFolded(r broker.Record) {
	w.add(w.voids, 1, attribute.String("topic", r.Topic))
}

func (w *watch) contradicted(r broker.Record) {
	slog.Warn("the log contradicts what was decided; the log wins", "participant", w.name, "order_id", string(r.Key), "topic", r.Topic,
		"partition", r.Partition, "offset", r.Offset)
}

func (w *watch) lost(t *task, why string) { w.add(w.lostTasks, 1, attribute.String("cause", why)) }

func (w *watch) parked(d *delivery, o *order, cause error) {
	class, message := "behind", ""
	if cause != nil {
		class, message = classOf(cause).String(), firstLine(cause.Error())
	}
	w.add(w.letters, 1, attribute.String("class", class))
	slog.Error("event parked", "participant", w.name, "order_id", o.id, "event_id", d.id(), "topic", d.rec.Topic, "partition", d.rec.Partition,
		"offset", d.rec.Offset, "class", class, "error", message)
}

func (w *watch) unreadable(r broker.Record) {
	w.add(w.skipped, 1, attribute.String("why", "unreadable"), attribute.String("topic", r.Topic))
	slog.Error("a record of an own topic cannot be read", "participant", w.name, "topic", r.Topic, "partition", r.Partition, "offset", r.Offset)
}

func (w *watch) outOfRange(topic string) {
	w.add(w.skipped, 1, attribute.String("why", "out_of_range"), attribute.String("topic", topic))
}

func (w *watch) gap(topic string) {
	w.add(w.skipped, 1, attribute.String("why", "gap"), attribute.String("topic", topic))
}

func (w *watch) folded(topic string, n int) {
	w.add(w.foldedN, n, attribute.String("topic", topic))
}

func (w *watch) published(topic string, n int, err error) {
	if err == nil {
		w.add(w.sent, n, attribute.String("messaging.destination.name", topic))
	}
}

func (w *watch) consumed(f broker.Fetched) {
	if len(f.Records) > 0 {
		w.add(w.consumedN, len(f.Records), attribute.String("messaging.destination.name", f.Topic))
	}
}

func (w *watch) commitFailed(err error) {
	slog.Warn("offsets not committed", "participant", w.name, "error", err)
}

func (w *watch) applied(began time.Time, changes []store.Change) {
	n := 0
	for _, c := range changes {
		n += len(c.Ops)
	}
	if n == 0 {
		return
	}
	w.applyTime.Record(context.Background(), time.Since(began).Seconds(), w.set)
	w.batch.Record(context.Background(), int64(n), w.set)
}

var propagator = propagation.TraceContext{}

// carrier reads and writes record headers as a propagation carrier.
type carrier struct{ headers *[]broker.Header }

func (c carrier) Get(key string) string {
	for _, h := range *c.headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func (c carrier) Set(key, value string) {
	*c.headers = append(*c.headers, broker.Header{Key: key, Value: []byte(value)})
}

func (c carrier) Keys() []string {
	var ks []string
	for _, h := range *c.headers {
		ks = append(ks, h.Key)
	}
	return ks
}

// process starts the consumer span of one attempt, child of the hop that sent the record; end finishes it.
func (w *watch) process(ctx context.Context, group string, d *delivery) (context.Context, func(error)) {
	ctx = propagator.Extract(ctx, carrier{&d.rec.Headers})
	name := "process " + d.rec.Topic
	if d.src == nil {
		name = "process deadline"
	}
	began := time.Now()
	ctx, span := w.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", d.rec.Topic),
		attribute.Int("messaging.destination.partition.id", d.rec.Partition),
		attribute.String("messaging.consumer.group.name", group),
		attribute.Int64("messaging.kafka.offset", d.rec.Offset),
		attribute.String("messaging.message.id", d.ev.ID),
		attribute.String("messaging.message.conversation_id", d.order),
		attribute.String("troupe.event.type", d.ev.Type)))
	d.span = span.SpanContext()
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, firstLine(err.Error()))
			span.SetAttributes(attribute.String("error.type", classOf(err).String()))
		}
		span.End()
		w.reactTime.Record(context.WithoutCancel(ctx), time.Since(began).Seconds(), w.set,
			metric.WithAttributes(attribute.String("type", d.ev.Type)))
	}
}

// hop makes the producer span of the fact that answers a delivery, and the header that carries it to the next participant.
func (w *watch) hop(d *delivery) []broker.Header {
	ctx := trace.ContextWithSpanContext(context.Background(), d.span)
	ctx, span := w.tracer.Start(ctx, "send "+FactsTopic(w.name), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", FactsTopic(w.name)),
		attribute.String("messaging.message.conversation_id", d.order)))
	span.End()
	var hs []broker.Header
	propagator.Inject(ctx, carrier{&hs})
	return hs
}

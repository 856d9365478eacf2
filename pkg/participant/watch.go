package participant

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Every quiet branch (dropping, skipping, ignoring) counts in one of these.
var (
	eventsAnswered    = telemetry.EventsAnswered.Counter()
	eventsUnanswered  = telemetry.EventsUnanswered.Counter()
	eventsDuplicate   = telemetry.EventsDuplicate.Counter()
	eventsSuperseded  = telemetry.EventsSuperseded.Counter()
	eventsHeld        = telemetry.EventsHeld.Counter()
	eventsRetried     = telemetry.EventsRetried.Counter()
	eventsParked      = telemetry.EventsParked.Counter()
	eventsUndecodable = telemetry.EventsUndecodable.Counter()
	requestsClosed    = telemetry.RequestsClosed.Counter()
	deadlinesFired    = telemetry.DeadlinesFired.Counter()
	publishDuration   = telemetry.PublishDuration.Histogram()
	publishSize       = telemetry.PublishSize.Sizes()
	publishRetried    = telemetry.PublishRetried.Counter()
	publishRefused    = telemetry.PublishRefused.Counter()
	publishUnexpected = telemetry.PublishUnexpected.Counter()
	recordsFolded     = telemetry.RecordsFolded.Counter()
	offsetsOutOfRange = telemetry.OffsetsOutOfRange.Counter()
	chainsRead        = telemetry.ChainsRead.Counter()
)

// watch counts, times and logs what the cycle of one participant does. close ends it.
type watch struct {
	*task.Instance
	teller *teller // nil: nothing is told
	sums   []sum

	mu      sync.Mutex
	folding map[string]float64 // by own topic: records that a fold under way has still to read
	close   func()
}

func newWatch(i *task.Instance) *watch {
	w := &watch{Instance: i, folding: map[string]float64{}}
	by := telemetry.Participant.String(i.Name)
	w.close = telemetry.Gauges(func(_ context.Context, observe telemetry.Observe) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for topic, left := range w.folding {
			observe(telemetry.FoldRemaining, left, by, telemetry.Topic.String(topic))
		}
	}, telemetry.FoldRemaining)
	return w
}

// fold says how many records of an own topic a fold under way has still to read.
func (w *watch) fold(topic string, left int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folding[topic] = float64(left)
}

// event counts one event, for a reason if there is one to tell. What is counted at every event is added up until the
// cycle says so: a metric costs as much as judging one.
func (w *watch) event(c metric.Int64Counter, d *delivery, reason string) {
	for i := range w.sums {
		if s := &w.sums[i]; s.c == c && s.reason == reason && s.topic == d.topic() {
			s.n++
			return
		}
	}
	w.sums = append(w.sums, sum{c, d.topic(), reason, 1})
}

// sum is how many events were counted by a counter since the last time that the cycle told.
type sum struct {
	c             metric.Int64Counter
	topic, reason string
	n             int
}

// tell puts what is added up into the metrics.
func (w *watch) tell() {
	for _, s := range w.sums {
		by := append(make([]attribute.KeyValue, 0, 3), telemetry.Topic.String(s.topic)) // on the stack
		if s.reason != "" {
			by = append(by, telemetry.Reason.String(s.reason))
		}
		w.Count(s.c, s.n, by...)
	}
	clear(w.sums)
	w.sums = w.sums[:0]
}

func (w *watch) failed(d *delivery, class fault.Class, err error) {
	if class == fault.NotYet {
		w.event(eventsHeld, d, "")
		w.teller.tell(activity.Held, d, class.String())
		return
	}
	w.event(eventsRetried, d, class.String())
	if class == fault.Unavailable || class == fault.Transient { // others are not tried again
		w.teller.tell(activity.Retried, d, class.String())
	}
	w.Logger.WarnContext(d.trace(), "an event failed", append(d.place(), "class", class.String(), "tries", d.tries,
		"error", fault.FirstLine(err.Error()))...)
}

func (w *watch) duplicate(d *delivery, parked bool) {
	reason := "answered"
	if parked {
		reason = "parked"
	}
	w.event(eventsDuplicate, d, reason)
	w.teller.tell(activity.Deduplicated, d, reason)
}

func (w *watch) superseded(d *delivery) {
	w.event(eventsSuperseded, d, "")
	w.Logger.WarnContext(d.trace(), "superseded fact passed over", d.place()...)
}

// skipped is records that retention took before they were read.
func (w *watch) skipped(in *task.Input, to int64) {
	w.Count(offsetsOutOfRange, 1, telemetry.Topic.String(in.Topic))
	w.Logger.Error("records are gone that were never read; going on at the log's start", "topic", in.Topic,
		"partition", in.Partition, "offset", in.Cursor, "start", to)
}

func (w *watch) parked(d *delivery, n deadletter.Record) {
	w.event(eventsParked, d, n.Class)
	w.teller.tell(activity.Parked, d, n.Class)
	if !n.RetryAt.IsZero() {
		w.Logger.InfoContext(d.trace(), "event deferred", append(d.place(),
			"error", fault.FirstLine(n.Message), "retry_at", n.RetryAt)...)
		return
	}
	w.Logger.ErrorContext(d.trace(), "event parked", append(d.place(), "class", n.Class,
		"error", fault.FirstLine(n.Message))...)
}

func (w *watch) noRequest(d *delivery) {
	w.event(eventsUndecodable, d, "")
	w.Logger.Error("a record that is no request is passed over", append(d.place(), "error", d.bad.Error())...)
}

func (w *watch) closed(d *delivery, n deadletter.Record) {
	w.event(requestsClosed, d, cmp.Or(n.Class, "done"))
	w.Logger.Info("request about dead letters closed", append(d.place(), "action", string(d.asks.Action),
		"redriven", n.Redriven, "waiting", n.Waiting, "class", n.Class, "error", fault.FirstLine(n.Message))...)
}

// unreadable is a record of an own topic that the fold cannot read.
func (w *watch) unreadable(r broker.Record) {
	w.Count(eventsUndecodable, 1, telemetry.Topic.String(r.Topic))
	w.Logger.Error("a record of an own topic cannot be read", "topic", r.Topic, "partition", r.Partition,
		"offset", r.Offset)
}

func (w *watch) supersededFolded(r broker.Record) {
	w.Count(eventsSuperseded, 1, telemetry.Topic.String(r.Topic))
}

// misplaced is a fact that others wrote into a partition where its order is not decided.
func (w *watch) misplaced(r broker.Record, err error) {
	w.supersededFolded(r)
	w.Logger.Error("a fact of an own topic is in the wrong partition and is passed over", "error", err)
}

func (w *watch) contradicted(r broker.Record) {
	w.Logger.Warn("the log contradicts what was decided; the log wins", "order_id", string(r.Key), "topic", r.Topic,
		"partition", r.Partition, "offset", r.Offset)
}

// published is an append that the broker answered.
func (w *watch) published(topic string, entries int, began time.Time, err error) {
	if err == nil {
		telemetry.Sent(topic, entries, began, nil)
	}
	by := w.By(telemetry.Topic.String(topic))
	by.Record(context.Background(), publishDuration, time.Since(began).Seconds())
	by.Record(context.Background(), publishSize, float64(entries))
}

// process begins the consumer span of one attempt, child of the hop that sent the record.
func (w *watch) process(ctx context.Context, d *delivery) (context.Context, func(error)) {
	ctx, end := telemetry.Process(ctx, *d.rec, w.Name)
	d.span = telemetry.Begun(ctx)
	return ctx, end
}

// send begins the producer span of the fact that answers a delivery; the headers carry it to whoever receives the fact.
// It ends when the broker has answered.
func (w *watch) send(d *delivery, to broker.TopicPartition, id string) (headers broker.Headers, ended func(error)) {
	return telemetry.Answer(d.span, d.rec.Headers, to, id, d.order)
}

package telemetry

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Every name of a span, a metric or an attribute stands in this file: the messaging conventions are still in
// development, and whatever reads our telemetry (dashboards, alerts) must find all that can change in one place.

// scope of all our spans and metrics.
const scope = "github.com/troupe-dev/troupe/pkg/telemetry"

// Operations of a messaging client. A span's name is the operation and, where it is one, the topic: "send
// order.events.v1".
const (
	opSend    = "send"
	opPoll    = "poll"
	opProcess = "process"
	opCommit  = "commit"
)

// Attribute keys for metrics and spans. Never an order id or a customer on a metric: each value would be a series.
const (
	// Participant is the name of the participant or projection.
	Participant = attribute.Key("troupe.participant")
	// Reason says why, in one word of a fixed list.
	Reason = attribute.Key("troupe.reason")
	// Topic of a record.
	Topic = semconv.MessagingDestinationNameKey
	// Partition of a topic, as text.
	Partition = semconv.MessagingDestinationPartitionIDKey

	group          = semconv.MessagingConsumerGroupNameKey
	offset         = semconv.MessagingKafkaOffsetKey
	messageID      = semconv.MessagingMessageIDKey
	conversationID = semconv.MessagingMessageConversationIDKey
	batchCount     = semconv.MessagingBatchMessageCountKey
	operationName  = semconv.MessagingOperationNameKey
	operationType  = semconv.MessagingOperationTypeKey
	errorType      = semconv.ErrorTypeKey
	httpRoute      = semconv.HTTPRouteKey

	serviceName     = semconv.ServiceNameKey
	serviceVersion  = semconv.ServiceVersionKey
	serviceInstance = semconv.ServiceInstanceIDKey
)

var system = semconv.MessagingSystemKafka

// Metric names an instrument. Unit is UCUM.
type Metric struct{ Name, Unit, Description string }

// The messaging metrics of the semantic conventions. Send, Process, Poll and Commit record them.
var (
	operationDuration = Metric{"messaging.client.operation.duration", "s", "How long calls to the broker take."}
	sentMessages      = Metric{"messaging.client.sent.messages", "{message}", "Messages sent, or tried to."}
	consumedMessages  = Metric{"messaging.client.consumed.messages", "{message}", "Messages that a poll brought."}
	processDuration   = Metric{"messaging.process.duration", "s", "How long processing one message takes."}
)

// What becomes of an event at a participant or projection, by Participant and Topic. Each event counts in one of the
// first four once it is done.
var (
	EventsAnswered    = Metric{"troupe.events.answered", "{event}", "Events answered with a fact, or folded."}
	EventsUnanswered  = Metric{"troupe.events.unanswered", "{event}", "Events answered with no fact."}
	EventsDuplicate   = Metric{"troupe.events.duplicate", "{event}", "Events dropped, by Reason: answered, parked before."}
	EventsSuperseded  = Metric{"troupe.events.superseded", "{event}", "Facts dropped: the log has another in their place."}
	EventsHeld        = Metric{"troupe.events.held", "{event}", "Events put aside because their cause was not there yet."}
	EventsRetried     = Metric{"troupe.events.retried", "{event}", "Tries that failed and are tried again, by Reason."}
	EventsParked      = Metric{"troupe.events.parked", "{event}", "Events parked as dead letters, by Reason."}
	EventsUndecodable = Metric{"troupe.events.undecodable", "{event}", "Records whose envelope or body cannot be read."}
	RequestsClosed    = Metric{"troupe.requests.closed", "{request}",
		"Requests about dead letters that were closed, by Reason: done, or the class of what stopped them."}
	DeadlinesFired = Metric{"troupe.deadlines.fired", "{deadline}", "Deadlines that passed and were answered."}
)

// The cycle, by Participant, which is the name of a projection too.
var (
	ApplyDuration   = Metric{"troupe.apply.duration", "s", "How long one apply to Redis takes, for all tasks together."}
	ApplySize       = Metric{"troupe.apply.size", "{event}", "Events that one apply takes together."}
	PublishDuration = Metric{"troupe.publish.duration", "s", "From handing a batch to the broker to its answer."}
	PublishSize     = Metric{"troupe.publish.size", "{entry}", "Facts and dead letters in one batch."}
	PublishRetried  = Metric{"troupe.publish.retried", "{batch}", "Batches not acknowledged that are sent again."}
	PublishRefused  = Metric{"troupe.publish.refused", "{batch}",
		"Batches that Kafka refused for a reason that no waiting mends, by Topic: too large, not authorized, a policy. " +
			"They are sent again until somebody has mended it."}
	PublishUnexpected = Metric{"troupe.publish.unexpected", "{batch}", "Batches appended at another offset than expected."}
	TasksClaimed      = Metric{"troupe.tasks.claimed", "{task}", "Partitions taken over."}
	TasksLost         = Metric{"troupe.tasks.lost", "{task}",
		"Tasks dropped and folded again, by Reason: lost, fenced, contradicted, unreadable, replaced."}
	TasksRunning   = Metric{"troupe.tasks.running", "{task}", "Partitions that this instance serves now."}
	TasksExpected  = Metric{"troupe.tasks.expected", "{task}", "Partitions that all instances together should serve."}
	RecordsFolded  = Metric{"troupe.fold.records", "{record}", "Records of own topics read to rebuild states."}
	FoldRemaining  = Metric{"troupe.fold.remaining", "{record}", "Records that a fold has still to read; 0: none."}
	OutboxEntries  = Metric{"troupe.outbox.entries", "{entry}", "Facts and dead letters not yet known to be in Kafka."}
	OrdersWaiting  = Metric{"troupe.orders.waiting", "{order}", "Orders that wait for something unavailable."}
	OrdersParked   = Metric{"troupe.orders.parked", "{order}", "Orders with a dead letter that waits for a person."}
	OrdersDeferred = Metric{"troupe.orders.deferred", "{order}",
		"Orders whose dead letter is redriven by itself."}
	LagRecords        = Metric{"troupe.lag.records", "{record}", "Records of a log not yet applied, by its Partition."}
	LagTime           = Metric{"troupe.lag.time", "s", "Age of the oldest record of a log not yet applied; 0: none."}
	WatermarkAge      = Metric{"troupe.watermark.age", "s", "Age of the oldest record that a restart would read again."}
	OffsetsOutOfRange = Metric{"troupe.offsets.out_of_range", "{fetch}", "Fetches of an offset that a log does not hold."}
	ChainsRead        = Metric{"troupe.chains.read", "{order}",
		"Orders whose chain was read back from the log's start, because a fact contradicted an adopted head."}
	ClockSkew = Metric{"troupe.clock.skew", "s",
		"By how much this machine's clock is ahead of another's, by Reason: redis, gateway, records (of what others " +
			"wrote, from the future only); negative: behind."}
	ActivityDropped = Metric{"troupe.activity.dropped", "{record}",
		"Exceptions that the activity topic does not tell of, by Reason: full (too many at once), large, refused " +
			"(Kafka did not take them)."}
)

// Redis, as every service sees it. Of a cluster: the server that is fullest.
var (
	RedisUsed     = Metric{"troupe.redis.memory.used", "By", "Memory that Redis uses."}
	RedisMax      = Metric{"troupe.redis.memory.max", "By", "Memory that Redis may use, its maxmemory; 0: no limit."}
	RedisEvicting = Metric{"troupe.redis.evicting", "{policy}", "1 while Redis may delete keys: nothing is decided."}
	RedisRefused  = Metric{"troupe.redis.refused", "{command}",
		"Commands not done, by Reason: full (Redis had no memory), evicts (it was not asked)."}
)

// What only a projection does, by Participant.
var (
	ProjectionDelay   = Metric{"troupe.projection.delay", "s", "From a record's append to its place in the read model."}
	ProjectionRefolds = Metric{"troupe.projection.refolds", "{order}",
		"Orders whose adopted heads a fact contradicted, so that their partitions are rebuilt."}
	ProjectionForgets = Metric{"troupe.projection.forgotten", "{order}", "Documents deleted because of their age."}
	ProjectionSkipped = Metric{"troupe.projection.skipped", "{record}", "Offsets that retention took unread."}
	Rebuilds          = Metric{"troupe.projection.rebuilds", "{task}",
		"Partitions rebuilt beside the live read model, by Reason: swapped, cancelled."}
	RebuildRecords = Metric{"troupe.projection.rebuild.records", "{record}", "Records folded again for a rebuild."}
	RebuildCleared = Metric{"troupe.projection.rebuild.cleared", "{key}", "Keys deleted that a rebuild left behind."}
)

// The APIs, and what they call.
var (
	OrdersPlaced    = Metric{"troupe.orders.placed", "{order}", "Orders taken with 202 for the first time."}
	OrdersRepeated  = Metric{"troupe.orders.repeated", "{order}", "Requests to place an order that was placed already."}
	OrdersOpen      = Metric{"troupe.orders.open", "{order}", "Orders in the read model that are not settled."}
	OrdersOpenAge   = Metric{"troupe.orders.open.age", "s", "Age of the oldest order that is not settled; 0: none."}
	RetentionTime   = Metric{"troupe.retention.time", "s", "How long facts are kept; an order open by then loses them."}
	SettleDuration  = Metric{"troupe.order.settle.duration", "s", "From placed to settled, as the read model sees it."}
	ReadWait        = Metric{"troupe.read.wait.duration", "s", "How long reads waited for their consistency token."}
	ReadsBehind     = Metric{"troupe.read.behind", "{request}", "Reads given up with 503: the read model was behind."}
	StreamsOpen     = Metric{"troupe.streams.open", "{stream}", "Live streams open now."}
	RequestsRefused = Metric{"troupe.requests.refused", "{request}",
		"Requests not let in, by Reason: host, origin, query, token, issuer (its keys could not be read), " +
			"role, owner, rate."}
	AdmissionFull  = Metric{"troupe.admission.full", "{request}", "Requests refused with 503: too many wait."}
	StreamsRefused = Metric{"troupe.streams.refused", "{stream}",
		"Live streams not begun, by Reason: full, client (one client's share is used up)."}
	StreamsDropped  = Metric{"troupe.streams.dropped", "{stream}", "Live streams ended because their reader was too slow."}
	GatewayDuration = Metric{"troupe.gateway.duration", "s", "How long calls to the payment gateway take."}
	GatewayRefused  = Metric{"troupe.gateway.refused.customers", "{customer}",
		"Customers whose payment the gateway refused for one Reason, since it last charged anybody."}
	MailDuration = Metric{"troupe.mail.duration", "s", "How long handing a mail to the mail server takes."}
)

// sizeBuckets are counts, up to what one batch can hold.
var sizeBuckets = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000}

// durationBuckets are seconds, from a cache hit to the longest wait an API allows.
var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Counter makes the instrument, for a package variable: it works before Start too. Only a bad name fails, and a test
// makes all of them; the instrument is usable even then.
func (m Metric) Counter() metric.Int64Counter {
	c, err := otel.Meter(scope).Int64Counter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
	report(err)
	counters.mu.Lock()
	defer counters.mu.Unlock()
	counters.all = append(counters.all, c)
	return c
}

// counters are all that were made. Start has them begin at 0: what has never happened is then seen to be so, and its
// first time is a step.
var counters struct {
	mu  sync.Mutex
	all []metric.Int64Counter
}

func beginCounters(ctx context.Context) {
	counters.mu.Lock()
	defer counters.mu.Unlock()
	for _, c := range counters.all {
		c.Add(ctx, 0)
	}
}

// UpDown makes an instrument for a value that is added to and taken from; see Counter.
func (m Metric) UpDown() metric.Int64UpDownCounter {
	c, err := otel.Meter(scope).Int64UpDownCounter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
	report(err)
	return c
}

// Histogram makes an instrument for durations in seconds; see Counter.
func (m Metric) Histogram() metric.Float64Histogram { return m.distribution(durationBuckets) }

// Sizes makes an instrument for counts of things taken together; see Counter.
func (m Metric) Sizes() metric.Float64Histogram { return m.distribution(sizeBuckets) }

func (m Metric) distribution(bounds []float64) metric.Float64Histogram {
	h, err := otel.Meter(scope).Float64Histogram(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description),
		metric.WithExplicitBucketBoundaries(bounds...))
	report(err)
	return h
}

func report(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

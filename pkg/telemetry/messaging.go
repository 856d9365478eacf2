package telemetry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

var (
	operations = operationDuration.Histogram()
	sent       = sentMessages.Counter()
	consumed   = consumedMessages.Counter()
	processes  = processDuration.Histogram()
)

// Send begins the PRODUCER span of one message: the returned context is the one to Inject into its headers. Call ended
// once, with what became of the message, when the broker has answered.
func Send(ctx context.Context, to broker.TopicPartition, id, orderID string) (_ context.Context, ended func(error)) {
	start := time.Now()
	ctx, span := sending(ctx, to, id, orderID)
	return ctx, func(err error) {
		finish(span, err)
		Sent(to.Topic, 1, start, err)
	}
}

// Sent measures one operation that sent n messages to a topic: a value for each message would cost as much as deciding
// it.
func Sent(topic string, n int, began time.Time, err error) {
	by := operation{name: opSend, topic: topic}.by(err)
	by.Add(context.Background(), sent, int64(n))
	by.Record(context.Background(), operations, time.Since(began).Seconds())
}

// Process begins the CONSUMER span of one record that was fetched by a group, as a child of whoever sent it: see
// Extract. Call ended once, when the record is answered. How long it took is for Processed.
func Process(ctx context.Context, r broker.Record, groupName string) (_ context.Context, ended func(error)) {
	if forwarded(r.Headers) != nil {
		return &hop{Context: ctx, headers: r.Headers}, noSpan
	}
	ctx = Extract(ctx, r.Headers)
	if unseen(ctx) {
		return ctx, noSpan
	}
	ctx, span := tracer().Start(ctx, opProcess+" "+r.Topic, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(system, operationName.String(opProcess), operationType.String(opProcess),
			Topic.String(r.Topic), Partition.String(strconv.Itoa(r.Partition)), offset.Int64(r.Offset),
			group.String(groupName),
			// A record may hold any bytes, and one attribute that is not UTF-8 loses the whole batch of spans.
			messageID.String(strings.ToValidUTF8(header(r.Headers, "ce_id"), "?")),
			conversationID.String(strings.ToValidUTF8(string(r.Key), "?"))))
	return ctx, func(err error) { finish(span, err) }
}

func noSpan(error) {}

// Processed measures how long a group took for a message of a topic, or for several that it takes together.
func Processed(topic, groupName string, began time.Time, err error) {
	by := operation{opProcess, topic, groupName}.by(err)
	by.Record(context.Background(), processes, time.Since(began).Seconds())
}

// Poll measures one fetch for a group, and leaves a CLIENT span when it brought records or failed: the many polls that
// wait in vain would only hide the others.
func Poll(ctx context.Context, groupName string) (ended func([]broker.Fetched, error)) {
	start := time.Now()
	return func(fetched []broker.Fetched, err error) {
		by := operation{name: opPoll, group: groupName}.by(err)
		by.Record(ctx, operations, time.Since(start).Seconds())
		n, ofTopic := 0, 0
		for i := range fetched {
			n, ofTopic = n+len(fetched[i].Records), ofTopic+len(fetched[i].Records)
			topic := fetched[i].Topic
			if ofTopic > 0 && (i == len(fetched)-1 || fetched[i+1].Topic != topic) { // logs of a topic are together
				operation{opPoll, topic, groupName}.by(nil).Add(ctx, consumed, int64(ofTopic))
				ofTopic = 0
			}
		}
		if n == 0 && err == nil || !Traced() {
			return
		}
		_, span := tracer().Start(ctx, opPoll, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(start),
			trace.WithAttributes(system, operationName.String(opPoll), operationType.String("receive"),
				group.String(groupName), batchCount.Int(n)))
		finish(span, err)
	}
}

// Commit begins the CLIENT span of storing a group's offsets.
func Commit(ctx context.Context, groupName string) (_ context.Context, ended func(error)) {
	start := time.Now()
	var span trace.Span
	if Traced() {
		ctx, span = tracer().Start(ctx, opCommit, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(system, operationName.String(opCommit), operationType.String("settle"),
				group.String(groupName)))
	}
	return ctx, func(err error) {
		finish(span, err)
		operation{name: opCommit, group: groupName}.by(err).Record(ctx, operations, time.Since(start).Seconds())
	}
}

// operation is what calls to the broker are measured by: its name and, where it has them, its topic and its group.
type operation struct{ name, topic, group string }

// wentWell are the labels of operations that did: of every message the same few.
var wentWell = kept[operation]{labels: map[operation]*Labels{}}

// by returns the labels of an operation that ended so.
func (o operation) by(err error) *Labels {
	if l, ok := wentWell.get(o); ok && err == nil {
		return l
	}
	attrs := append(make([]attribute.KeyValue, 0, maxBy), system, operationName.String(o.name))
	if o.topic != "" {
		attrs = append(attrs, Topic.String(o.topic))
	}
	if o.group != "" {
		attrs = append(attrs, group.String(o.group))
	}
	if err != nil {
		return By(append(attrs, errorType.String(fault.ClassOf(err).String()))...)
	}
	return wentWell.of(o, attrs)
}

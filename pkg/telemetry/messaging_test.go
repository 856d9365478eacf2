package telemetry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const topic = "order.events.v1"

func named(t *testing.T, spans []sdktrace.ReadOnlySpan, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	for _, s := range spans {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("no span %q", name)
	return nil
}

func has(t *testing.T, s sdktrace.ReadOnlySpan, want ...attribute.KeyValue) {
	t.Helper()
	for _, kv := range want {
		if !slices.Contains(s.Attributes(), kv) {
			t.Errorf("span %q lacks %s=%v", s.Name(), kv.Key, kv.Value.AsString())
		}
	}
}

func TestProcessIsTheChildOfSendAcrossTheLog(t *testing.T) {
	spans := telemetrytest.Spans(t)
	ctx, ended := telemetry.Send(t.Context(), broker.TopicPartition{Topic: topic, Partition: 7}, "e-1", "o-1")
	r := broker.Record{Topic: topic, Partition: 7, Offset: 42, Key: []byte("o-1"),
		Headers: telemetry.Inject(ctx, broker.HeadersOf("ce_id", "e-1"))}
	ended(nil)
	began := time.Now()
	_, ended = telemetry.Process(t.Context(), r, "payment")
	ended(nil)
	telemetry.Processed(topic, "payment", began, nil)

	send, process := named(t, spans.Ended(), "send "+topic), named(t, spans.Ended(), "process "+topic)
	if send.SpanKind() != trace.SpanKindProducer || process.SpanKind() != trace.SpanKindConsumer {
		t.Errorf("kinds %v and %v, want producer and consumer", send.SpanKind(), process.SpanKind())
	}
	if p := process.Parent(); p.SpanID() != send.SpanContext().SpanID() || p.TraceID() != send.SpanContext().TraceID() || !p.IsRemote() {
		t.Errorf("process has parent %v, want the remote span %v", p, send.SpanContext())
	}
	same := []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", topic),
		attribute.String("messaging.destination.partition.id", "7"), attribute.String("messaging.message.id", "e-1"),
		attribute.String("messaging.message.conversation_id", "o-1"),
	}
	has(t, send, append(same, attribute.String("messaging.operation.name", "send"))...)
	has(t, process, append(same, attribute.String("messaging.operation.name", "process"),
		attribute.Int64("messaging.kafka.offset", 42), attribute.String("messaging.consumer.group.name", "payment"))...)
	for _, name := range []string{"messaging.client.sent.messages", "messaging.process.duration", "messaging.client.operation.duration"} {
		if _, ok := telemetrytest.Metric(t, name); !ok {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestInjectReplacesTheHopAndKeepsTheRest(t *testing.T) {
	old := broker.HeadersOf("a", "1", "traceparent", "old", "ce_traceparent", "start")
	before := slices.Clone(old)
	if got := telemetry.Inject(t.Context(), old); !slices.Equal(got, old) {
		t.Errorf("without a span: %q, want the headers as they were", got)
	}
	telemetrytest.Spans(t)
	ctx, ended := telemetry.Send(t.Context(), broker.TopicPartition{Topic: topic}, "e", "o")
	defer ended(nil)
	got := telemetry.Inject(ctx, old)
	if want := broker.HeadersOf("a", "1", "ce_traceparent", "start", "traceparent", telemetry.TraceParent(ctx)); !slices.Equal(got, want) {
		t.Errorf("headers %q, want %q", got, want)
	}
	if !slices.Equal(old, before) {
		t.Error("the headers that were handed in were changed")
	}
}

func TestExtractPrefersTheHopToTheStart(t *testing.T) {
	const hop, start = "00-11111111111111111111111111111111-2222222222222222-01", "00-33333333333333333333333333333333-4444444444444444-01"
	for _, c := range []struct {
		name    string
		headers broker.Headers
		want    string
	}{
		{"both", broker.HeadersOf("ce_traceparent", start, "traceparent", hop), "2222222222222222"},
		{"start alone", broker.HeadersOf("ce_traceparent", start), "4444444444444444"},
		{"nonsense", broker.HeadersOf("traceparent", "\xff\x00"), "0000000000000000"},
		{"none", nil, "0000000000000000"},
	} {
		if got := trace.SpanContextFromContext(telemetry.Extract(t.Context(), c.headers)).SpanID().String(); got != c.want {
			t.Errorf("%s: span %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAnErrorShowsItsClassAndNotItsWords(t *testing.T) {
	spans := telemetrytest.Spans(t)
	_, ended := telemetry.Process(t.Context(), broker.Record{Topic: topic, Key: []byte("\xff")}, "notification")
	ended(fault.New(fault.Unavailable, "mail to ada@example.com refused"))
	s := named(t, spans.Ended(), "process "+topic)
	if s.Status().Code != codes.Error || s.Status().Description != "unavailable" || len(s.Events()) != 0 {
		t.Errorf("status %+v, events %v; want an error of class unavailable and no event", s.Status(), s.Events())
	}
	has(t, s, attribute.String("error.type", "unavailable"), attribute.String("messaging.message.conversation_id", "?"))
}

func TestPollLeavesASpanOnlyWhenSomethingHappened(t *testing.T) {
	spans := telemetrytest.Spans(t)
	telemetry.Poll(t.Context(), "query")(nil, nil)
	telemetry.Poll(t.Context(), "query")([]broker.Fetched{{TopicPartition: broker.TopicPartition{Topic: topic}}}, nil)
	if n := len(spans.Ended()); n != 0 {
		t.Fatalf("%d spans of empty polls", n)
	}
	before := consumed(t)
	telemetry.Poll(t.Context(), "query")([]broker.Fetched{
		{TopicPartition: broker.TopicPartition{Topic: topic}, Records: make([]broker.Record, 2)},
		{TopicPartition: broker.TopicPartition{Topic: topic, Partition: 1}, Records: make([]broker.Record, 3)},
	}, nil)
	telemetry.Poll(t.Context(), "query")(nil, errors.New("gone"))
	if n := len(spans.Ended()); n != 2 {
		t.Fatalf("%d spans, want one of the full and one of the failed poll", n)
	}
	has(t, spans.Ended()[0], attribute.Int("messaging.batch.message_count", 5))
	if got := consumed(t) - before; got != 5 {
		t.Errorf("consumed messages grew by %d, want 5", got)
	}
}

func consumed(t *testing.T) (n int64) {
	t.Helper()
	m, ok := telemetrytest.Metric(t, "messaging.client.consumed.messages")
	if !ok {
		return 0
	}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		n += p.Value
	}
	return n
}

func TestCommit(t *testing.T) {
	spans := telemetrytest.Spans(t)
	_, ended := telemetry.Commit(t.Context(), "query")
	ended(fault.New(fault.Conflict, "over"))
	s := named(t, spans.Ended(), "commit")
	if s.SpanKind() != trace.SpanKindClient || s.Status().Description != "conflict" {
		t.Errorf("span %v %+v, want a client's, failed with conflict", s.SpanKind(), s.Status())
	}
	if strings.Contains(s.Name(), "query") {
		t.Errorf("span name %q holds the group", s.Name())
	}
}

package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span is one span as a collector gets it.
type span struct {
	name, service, instance string
	kind                    trace.Span_SpanKind
	trace, id, parent       string
	message                 string // messaging.message.id
}

// line is one log record as a collector gets it.
type line struct{ service, text, trace, order string }

// collector takes in spans and logs over OTLP.
type collector struct {
	url   string
	mu    sync.Mutex
	spans []span
	lines []line
}

// collect starts a collector.
func collect(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/traces", func(w http.ResponseWriter, r *http.Request) {
		take(t, w, r, &traces.ExportTraceServiceRequest{}, c.takeSpans)
	})
	mux.HandleFunc("/v1/logs", func(w http.ResponseWriter, r *http.Request) {
		take(t, w, r, &logs.ExportLogsServiceRequest{}, c.takeLogs)
	})
	mux.HandleFunc("/v1/metrics", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// from are the arguments of a playground whose services send to it, soon.
func (c *collector) from() []string {
	return []string{"--env", "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url, "--env", "OTEL_BSP_SCHEDULE_DELAY=100", "--env", "OTEL_BLRP_SCHEDULE_DELAY=100"}
}

func take[M proto.Message](t *testing.T, w http.ResponseWriter, r *http.Request, into M, keep func(M)) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(body, into)
	}
	if err != nil {
		t.Errorf("export to %s: %v", r.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	keep(into)
}

func (c *collector) takeSpans(m *traces.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, span{
					name: s.Name, kind: s.Kind, trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId),
					parent: hex.EncodeToString(s.ParentSpanId), message: attribute(s.Attributes, "messaging.message.id"),
					service: attribute(rs.Resource.Attributes, "service.name"), instance: attribute(rs.Resource.Attributes, "service.instance.id"),
				})
			}
		}
	}
}

func (c *collector) takeLogs(m *logs.ExportLogsServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rl := range m.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, l := range sl.LogRecords {
				c.lines = append(c.lines, line{
					service: attribute(rl.Resource.Attributes, "service.name"), text: l.Body.GetStringValue(),
					trace: hex.EncodeToString(l.TraceId), order: attribute(l.Attributes, "order_id"),
				})
			}
		}
	}
}

func (c *collector) got() ([]span, []line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans), slices.Clone(c.lines)
}

func attribute(from []*common.KeyValue, key string) string {
	for _, kv := range from {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

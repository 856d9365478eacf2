// Package telemetry starts OpenTelemetry and structured logs, and holds every span, metric and attribute name of
// Troupe. It is the only importer of the OpenTelemetry SDK.
//
// A service calls Start once. Instruments are package variables, made of the names in names.go; they work before Start
// and count into what it sets:
//
//	var eventsParked = telemetry.EventsParked.Counter()
//
// What is measured for every event takes its attributes from By, which allocates nothing.
//
// Files, each using only those above it:
//   - names.go: the names, and instruments made of them
//   - by.go: attributes that are kept, for what is measured at every event
//   - gauges.go: values that are looked up when metrics are collected
//   - carrier.go: the trace context in the headers of a record
//   - logs.go: Config; log lines, on the console and exported
//   - telemetry.go: Start; where spans, metrics and logs go; GET /metrics
//   - span.go: a span is begun, if anybody sees it, and ended
//   - hop.go: the trace context of a record and of its answer, where no span is needed for it
//   - messaging.go: spans and metrics of what is sent, processed, polled and committed
//   - http.go: spans and metrics of HTTP requests
//
// It starts no goroutine of its own. The SDK has one for each signal that is exported; stop ends them.
package telemetry

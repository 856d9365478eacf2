package telemetry

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Labels are attributes that something is measured by.
type Labels struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newLabels(attrs []attribute.KeyValue) *Labels {
	set := metric.WithAttributeSet(attribute.NewSet(slices.Clone(attrs)...))
	return &Labels{add: []metric.AddOption{set}, record: []metric.RecordOption{set}}
}

// Add counts n more.
func (l *Labels) Add(ctx context.Context, c metric.Int64Counter, n int64) {
	c.Add(ctx, n, l.add...)
}

// Record puts one value into a distribution.
func (l *Labels) Record(ctx context.Context, h metric.Float64Histogram, value float64) {
	h.Record(ctx, value, l.record...)
}

// maxBy is of how many attributes a prebuilt set may be.
const maxBy = 5

var built = struct {
	sync.RWMutex
	labels map[[maxBy]named]*Labels
}{labels: map[[maxBy]named]*Labels{}}

// named is an attribute whose value is a string: hashing any value costs three times as much.
type named struct{ name, value string }

// By returns the labels of what is measured at every event: they are sorted, hashed and kept the first time they are asked for. They must
// have few values, as those of a metric must anyway: all are kept for ever. Safe for concurrent use. It does not keep attrs, so that
// they need not be allocated.
func By(attrs ...attribute.KeyValue) *Labels {
	if len(attrs) > maxBy {
		return newLabels(attrs)
	}
	var key [maxBy]named
	for i, a := range attrs {
		if a.Value.Type() != attribute.STRING {
			return newLabels(attrs)
		}
		key[i] = named{string(a.Key), a.Value.AsString()}
	}
	built.RLock()
	l, ok := built.labels[key]
	built.RUnlock()
	if ok {
		return l
	}
	built.Lock()
	defer built.Unlock()
	l = newLabels(attrs)
	built.labels[key] = l
	return l
}

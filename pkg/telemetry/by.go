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

// maxBy is of how many attributes a prebuilt set may be, and most of those of one event have at most fewBy: a shorter
// key is found sooner.
const (
	maxBy = 5
	fewBy = 2
)

var (
	built    = kept[[maxBy]named]{labels: map[[maxBy]named]*Labels{}}
	builtFew = kept[[fewBy]named]{labels: map[[fewBy]named]*Labels{}}
)

// named is an attribute whose value is a string: hashing any value costs three times as much.
type named struct{ name, value string }

// By returns the labels of what is measured at every event: they are sorted, hashed and kept the first time they are
// asked for. They must have few values, as those of a metric must anyway: all are kept for ever. Safe for concurrent
// use. It does not keep attrs, so that they need not be allocated.
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
	if len(attrs) <= fewBy {
		return builtFew.of([fewBy]named(key[:]), attrs)
	}
	return built.of(key, attrs)
}

// kept are labels by what tells them apart.
type kept[K comparable] struct {
	sync.RWMutex
	labels map[K]*Labels
}

func (k *kept[K]) get(key K) (l *Labels, ok bool) {
	k.RLock()
	defer k.RUnlock()
	l, ok = k.labels[key]
	return l, ok
}

// of makes the labels of a key that is met for the first time.
func (k *kept[K]) of(key K, attrs []attribute.KeyValue) *Labels {
	l, ok := k.get(key)
	if !ok {
		l = newLabels(attrs)
		k.Lock()
		defer k.Unlock()
		k.labels[key] = l
	}
	return l
}

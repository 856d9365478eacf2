package telemetry

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxBy is of how many attributes a prebuilt set may be.
const maxBy = 5

var built = struct {
	sync.RWMutex
	sets map[[maxBy]named]metric.MeasurementOption
}{sets: map[[maxBy]named]metric.MeasurementOption{}}

// named is an attribute whose value is a string: hashing any value costs three times as much.
type named struct{ name, value string }

// By is metric.WithAttributes for what is measured at every event: a set is sorted, hashed and kept the first time it is asked for. Its
// attributes must have few values, as those of a metric must anyway: sets are kept for ever. Safe for concurrent use. It does not keep
// attrs, so that they need not be allocated.
func By(attrs ...attribute.KeyValue) metric.MeasurementOption {
	if len(attrs) > maxBy {
		return metric.WithAttributes(slices.Clone(attrs)...)
	}
	var key [maxBy]named
	for i, a := range attrs {
		if a.Value.Type() != attribute.STRING {
			return metric.WithAttributes(slices.Clone(attrs)...)
		}
		key[i] = named{string(a.Key), a.Value.AsString()}
	}
	built.RLock()
	set, ok := built.sets[key]
	built.RUnlock()
	if ok {
		return set
	}
	built.Lock()
	defer built.Unlock()
	set = metric.WithAttributeSet(attribute.NewSet(slices.Clone(attrs)...))
	built.sets[key] = set
	return set
}

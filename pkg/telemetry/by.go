package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxBy is of how many attributes a prebuilt set may be.
const maxBy = 5

var built = struct {
	sync.RWMutex
	sets map[[maxBy]attribute.KeyValue]metric.MeasurementOption
}{sets: map[[maxBy]attribute.KeyValue]metric.MeasurementOption{}}

// By is metric.WithAttributes for what is measured at every event: a set is sorted, hashed and kept the first time it is asked for. Its
// attributes must have few values, as those of a metric must anyway: sets are kept for ever. Safe for concurrent use.
func By(attrs ...attribute.KeyValue) metric.MeasurementOption {
	if len(attrs) > maxBy {
		return metric.WithAttributes(attrs...)
	}
	var key [maxBy]attribute.KeyValue
	copy(key[:], attrs)
	built.RLock()
	set, ok := built.sets[key]
	built.RUnlock()
	if ok {
		return set
	}
	built.Lock()
	defer built.Unlock()
	set = metric.WithAttributeSet(attribute.NewSet(key[:len(attrs)]...))
	built.sets[key] = set
	return set
}

package telemetry

import (
	"context"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Lag is how far behind its end one log is read. Moments are zero when nothing waits.
type Lag struct {
	broker.TopicPartition
	Records int64
	// Oldest of the records not yet applied.
	Oldest time.Time
	// Watermark is the oldest of the records that a restart would read again.
	Watermark time.Time
}

// LagMetrics are what Lag.Observe reports.
var LagMetrics = []Metric{LagRecords, LagTime, WatermarkAge}

// Observe reports the lag as it is now.
func (l Lag) Observe(observe Observe, by attribute.KeyValue) {
	age := func(at time.Time) float64 {
		if at.IsZero() {
			return 0
		}
		return max(0, time.Since(at).Seconds())
	}
	labels := []attribute.KeyValue{by, Topic.String(l.Topic), Partition.String(strconv.Itoa(l.Partition))}
	observe(LagRecords, float64(l.Records), labels...)
	observe(LagTime, age(l.Oldest), labels...)
	observe(WatermarkAge, age(l.Watermark), labels...)
}

// Observe reports the value of one gauge.
type Observe func(m Metric, v float64, by ...attribute.KeyValue)

// Gauges makes instruments for values that are looked up whenever metrics are collected. What look does not report, or
// no longer reports, is not exported: a partition that has moved to another instance leaves no last value behind. look
// may be called at any moment, also while Gauges is still running, must not block for longer than its ctx lasts, and
// reports no other metrics than these. Call stop when there is nothing to look at any more; look is not called after
// it has returned.
func Gauges(look func(context.Context, Observe), metrics ...Metric) (stop func()) {
	meter := otel.Meter(scope)
	gauges := map[string]metric.Float64ObservableGauge{}
	var all []metric.Observable
	for _, m := range metrics {
		g, err := meter.Float64ObservableGauge(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
		report(err)
		gauges[m.Name] = g
		all = append(all, g)
	}
	registered, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		look(ctx, func(m Metric, v float64, by ...attribute.KeyValue) {
			if g, ok := gauges[m.Name]; ok {
				o.ObserveFloat64(g, v, metric.WithAttributes(by...))
			}
		})
		return nil
	}, all...)
	report(err)
	return func() {
		if registered != nil {
			report(registered.Unregister())
		}
	}
}

package query

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// watchOpen lets metrics say how many orders wait, and for how long, until stop. While the read model cannot say, neither do they.
func watchOpen(model *readmodel.Model, retention time.Duration) (stop func()) {
	return telemetry.Gauges(func(ctx context.Context, observe telemetry.Observe) {
		observe(telemetry.RetentionTime, retention.Seconds())
		open, err := model.Open(ctx)
		if err != nil {
			return
		}
		age := 0.0
		if !open.Oldest.IsZero() {
			age = max(0, time.Since(open.Oldest).Seconds())
		}
		observe(telemetry.OrdersOpen, float64(open.Orders))
		observe(telemetry.OrdersOpenAge, age)
	}, telemetry.OrdersOpen, telemetry.OrdersOpenAge, telemetry.RetentionTime)
}

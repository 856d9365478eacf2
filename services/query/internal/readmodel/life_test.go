package readmodel_test

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
)

// lifeWave is how many events of others come between two of one order.
const lifeWave = 2000

// Orders go by as in life: the events of one come one after the other, with those of many others between them. The log of the test
// allocates as well, always the same.
func BenchmarkLife(b *testing.B) {
	for b.Loop() {
		s := querytest.New(b)
		stories := make([][]broker.Record, benchOrders)
		for i := range stories {
			stories[i] = s.Confirmed(viewtest.ID(strconv.Itoa(i)), "c-"+strconv.Itoa(i))
		}
		var folded atomic.Int64
		told := make(chan struct{}, 1)
		behavior := query.Behavior()
		behavior.Stored = func(_, _ query.Document) {
			folded.Add(1)
			select {
			case told <- struct{}{}:
			default:
			}
		}
		stop := s.Run(projection.New(behavior, projection.Config{Log: s.Log, Redis: s.Redis, Partitions: viewtest.Partitions}).Run)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		put := int64(0)
		for from := 0; put < 4*benchOrders; from += lifeWave / 4 {
			for n := range 4 {
				for i := from - n*lifeWave/4; i < from-n*lifeWave/4+lifeWave/4; i++ {
					if i >= 0 && i < benchOrders {
						s.Put(stories[i][n])
						put++
					}
				}
			}
			for folded.Load() < put {
				<-told
			}
		}
		runtime.ReadMemStats(&after)
		stop()
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/benchOrders, "allocs/order")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/benchOrders, "B/order")
	}
}

package readmodel_test

import (
	"strconv"
	"testing"

	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
)

// benchOrders are so many that a fold of them takes many steps.
const benchOrders = 20_000

func stage(b *testing.B) *querytest.Stage {
	s := querytest.New(b)
	for i := range benchOrders {
		s.Put(s.Confirmed(viewtest.ID(strconv.Itoa(i)), "c-"+strconv.Itoa(i%1000))...)
	}
	return s
}

// One instance folds a whole log from its start, as after a wipe.
func BenchmarkFold(b *testing.B) {
	s := stage(b)
	for b.Loop() {
		if err := s.Redis.FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		stop := s.Play()
		s.Caught()
		stop()
	}
	b.ReportMetric(float64(benchOrders*b.N)/b.Elapsed().Seconds(), "orders/s")
}

// One instance folds it beside the live read model, and swaps.
func BenchmarkRebuild(b *testing.B) {
	s := stage(b)
	s.Play()
	s.Caught()
	for b.Loop() {
		if _, err := s.Model.StartRebuild(b.Context()); err != nil {
			b.Fatal(err)
		}
		viewtest.Eventually(b, func() string {
			all, err := s.Model.Rebuild(b.Context())
			if err != nil {
				return err.Error()
			}
			for _, r := range all.Partitions {
				if all.Active || r.Clearing {
					return r.State
				}
			}
			return ""
		})
	}
	b.ReportMetric(float64(benchOrders*b.N)/b.Elapsed().Seconds(), "orders/s")
}

package readmodel_test

import (
	"strconv"
	"testing"

	"github.com/troupe-dev/troupe/services/query/internal/querytest"
)

// One instance folds a whole log from its start, as after a wipe.
func BenchmarkRebuild(b *testing.B) {
	s := querytest.New(b)
	const orders = 5000
	events := 0
	for i := range orders {
		story := s.Confirmed(querytest.ID(strconv.Itoa(i)), "c-1")
		events += len(story)
		s.Put(story...)
	}
	for b.Loop() {
		if err := s.Redis.FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		stop := s.Play()
		s.Caught()
		stop()
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}

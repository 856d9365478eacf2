package readmodel_test

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// settled returns an order as it was placed, and as it was confirmed.
func settled() (placed, confirmed readmodel.Document) {
	at := view.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	placed.Order = readmodel.Order{Customer: "c-1", Currency: "EUR", Total: 1200, Placed: at}
	placed.Updated = at
	confirmed = placed
	confirmed.Order.Confirmed = at + 90_000
	return placed, confirmed
}

// The counts are those of the code as it is, for a step with one order: raise one only for a reason. The race detector adds one.
func TestIndexAllocatesLittle(t *testing.T) {
	placed, confirmed := settled()
	var w projection.Writes
	for _, c := range []struct {
		name          string
		before, after readmodel.Document
		most          float64
	}{
		{"placed", readmodel.Document{}, placed, 5},
		{"confirmed", placed, confirmed, 5},
		{"nothing to write", confirmed, confirmed, 2},
	} {
		got := testing.AllocsPerRun(100, func() { readmodel.Index(w.Begin(""), "o-1", c.before, c.after); w.Ops(nil) })
		if got > c.most {
			t.Errorf("%s: %.0f allocations, not %.0f", c.name, got, c.most)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	placed, confirmed := settled()
	var w projection.Writes
	b.ReportAllocs()
	for b.Loop() {
		readmodel.Index(w.Begin(""), "o-1", readmodel.Document{}, placed)
		readmodel.Index(&w, "o-2", placed, confirmed)
		w.Ops(nil)
	}
}

package projection

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"pgregory.net/rapid"
)

// Whatever the clocks say, and whatever arrives while a change is under way: each log stays in its order, nothing is
// lost, and where clocks are right the events that wait are sorted by them.
func TestPendingIsSortedByTimeWithinTheOrderOfEachLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skewed := rapid.Bool().Draw(t, "skewed")
		s := newTestPartition(talk, song, "dance")
		now, put, taken := int64(0), make([]int64, 3), make([]int64, 3)
		var under *step // the change under way
		take := func(n int) {
			var positions []int64
			for _, from := range s.inputs {
				positions = append(positions, from.applied)
			}
			for _, it := range s.pending[:n] {
				if it.rec != nil && it.rec.Offset != taken[it.input] {
					t.Fatalf("source %d: offset %d after %d", it.input, it.rec.Offset, taken[it.input])
				}
				taken[it.input], positions[it.input] = it.next, it.next
			}
			for i, at := range positions {
				s.inputs[i].after = at
			}
			under = &step{items: n}
			s.await(under)
		}
		follow := func() {
			if under != nil {
				s.taken(under)
				under = nil
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "fetches") {
			i := rapid.IntRange(0, 2).Draw(t, "source")
			f := broker.Fetched{}
			for range rapid.IntRange(0, 5).Draw(t, "records") {
				now++
				at := now
				if skewed {
					at = int64(rapid.IntRange(0, 50).Draw(t, "time"))
				}
				f.Records = append(f.Records, broker.Record{Offset: put[i], Time: time.UnixMilli(at)})
				put[i]++
			}
			f.Next = put[i]
			if rapid.IntRange(0, 4).Draw(t, "gap") == 0 && len(f.Records) > 0 {
				put[i]++
				f.Next++
			}
			s.add(i, f)
			s.Inputs[i].Cursor = f.Next
			waiting := s.pending
			if under != nil {
				waiting = s.pending[under.items:]
			}
			sorted := slices.IsSortedFunc(waiting, func(a, b item) int {
				if a.rec == nil || b.rec == nil {
					return 0
				}
				return a.rec.Time.Compare(b.rec.Time)
			})
			if gaps := slices.ContainsFunc(s.pending, func(it item) bool { return it.rec == nil }); !skewed && !gaps && !sorted {
				t.Fatal("not sorted by time")
			}
			if rapid.Bool().Draw(t, "stored") {
				follow()
			}
			if under == nil {
				take(rapid.IntRange(0, len(s.pending)).Draw(t, "take"))
			}
		}
		follow()
		take(len(s.pending))
		follow()
		for i, from := range s.inputs {
			if taken[i] != put[i] || from.pending != 0 || from.applied != put[i] {
				t.Fatal(fmt.Sprint("source ", i, ": taken ", taken[i], " of ", put[i], ", waiting ", from.pending))
			}
		}
	})
}

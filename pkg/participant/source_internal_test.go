package participant

import "testing"

// A partition that gets more than the others has the room that they leave; together they keep to the bound.
func TestRoomOfASource(t *testing.T) {
	tasks := func(hot, others int) (all []*partition) {
		for range 12 {
			all = append(all, &partition{sources: []*source{{pending: others}, {pending: others}, {pending: others}}})
		}
		all[0].sources[0].pending = hot
		return all
	}
	for _, tc := range []struct{ hot, others, want int }{
		{0, 0, maxWindowEvents},
		{maxWindowEvents, 50, maxWindowEvents},
		{maxWindowEvents, 200, maxEvents / 36},
		{maxEvents, 0, maxEvents / 36},
	} {
		if got := roomOf(tasks(tc.hot, tc.others)); got != tc.want {
			t.Errorf("with %d events in one source and %d in each other: room for %d, not %d", tc.hot, tc.others, got, tc.want)
		}
	}
}

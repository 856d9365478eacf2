package participant

import "testing"

// A partition that gets more than the others has the room that they leave; together they keep to the bound.
func TestRoomOfASource(t *testing.T) {
	hears := map[string]map[string]bool{"a": nil, "b": nil, "c": nil}
	pending := func(hot, others int) *cycle {
		c := &cycle{b: &behavior{hears: hears}}
		for p := range 12 {
			c.put(&task{partition: p, sources: []*source{{pending: others}, {pending: others}, {pending: others}}})
		}
		c.tasks[0].sources[0].pending = hot
		return c
	}
	for _, tc := range []struct{ hot, others, want int }{
		{0, 0, maxWindowEvents},
		{maxWindowEvents, 50, maxWindowEvents},
		{maxWindowEvents, 200, maxEvents / 36},
		{maxEvents, 0, maxEvents / 36},
	} {
		if got := pending(tc.hot, tc.others).room(); got != tc.want {
			t.Errorf("with %d events in one source and %d in each other: room for %d, not %d", tc.hot, tc.others, got, tc.want)
		}
	}
}

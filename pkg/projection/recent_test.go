package projection

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/pkg/task"
)

// newTestPartition returns a partition of some topics that nobody has claimed.
func newTestPartition(topics ...string) *partition[script] {
	return (&cycle[script]{}).New(task.NewPartition(context.Background(), 0, topics))
}

func TestRecentOrdersAreBounded(t *testing.T) {
	b := chronicle()
	p := New(b, Config{Partitions: partitions})
	var c *cycle[script]
	task.NewEngine(t.Context(), p.live.Instance, nil, func(e *engine[script]) task.Handler[*partition[script]] {
		c = newCycle(p.model, p.live, e)
		return c
	})
	of := newTestPartition(b.Topics...)
	first := c.recent(of)
	o := first.add([]byte("o"), len(b.Topics))
	if o.id != "o" || o.key != c.key(of, keyOrder+"o") || len(o.Chains) != len(b.Topics) {
		t.Errorf("%+v", o)
	}
	if got := c.recent(of).get([]byte("o")); got != o {
		t.Error("it is not found again")
	}
	first.bytes = recentBytes
	if c.recent(of).get([]byte("o")) != o {
		t.Error("the younger half goes first")
	}
	first.bytes = recentBytes
	if c.recent(of).get([]byte("o")) != nil || len(first.young)+len(first.old) != 0 {
		t.Error("it stays for ever")
	}
}

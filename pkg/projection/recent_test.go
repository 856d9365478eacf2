package projection

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
)

func TestRecentOrdersAreBoundedAndOfOneClaim(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	c := newCycle(New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions}), owned{})
	task := c.tasks[0]
	task.owner = "me"
	first := c.recent(task)
	o := first.add([]byte("o"), len(b.Topics))
	if o.id != "o" || o.key != c.key(task, keyOrder+"o") || len(o.Chains) != len(b.Topics) {
		t.Errorf("%+v", o)
	}
	if got := c.recent(task).get([]byte("o")); got != o {
		t.Error("it is not found again")
	}
	first.bytes = recentBytes
	if c.recent(task).get([]byte("o")) != o {
		t.Error("the younger half goes first")
	}
	first.bytes = recentBytes
	if c.recent(task).get([]byte("o")) != nil || len(first.young)+len(first.old) != 0 {
		t.Error("it stays for ever")
	}
	for name, change := range map[string]func(){
		"another claim": func() { task.owner = "me again" },
		"forgotten":     func() { c.forgetRecent(task) },
	} {
		c.recent(task).add([]byte("o"), len(b.Topics))
		if change(); c.recent(task).get([]byte("o")) != nil {
			t.Errorf("%s: it is still there", name)
		}
	}
}

// owned is a generation that has one partition.
type owned struct{ broker.Generation }

func (owned) Assigned() []broker.TopicPartition { return []broker.TopicPartition{{Topic: talk}} }

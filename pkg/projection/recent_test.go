package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestRecentOrdersAreBoundedAndOfOneClaim(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	c := newCycle(New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions}), owned{})
	task := c.tasks[0]
	task.owner = "me"
	first := c.recent(task, task.space)
	o := first.add([]byte("o"), len(b.Topics))
	if o.id != "o" || o.key != c.key(task, task.space, keyOrder+"o") || len(o.Chains) != len(b.Topics) {
		t.Errorf("%+v", o)
	}
	if got := c.recent(task, task.space).get([]byte("o")); got != o {
		t.Error("it is not found again")
	}
	first.bytes = recentBytes
	if c.recent(task, task.space).get([]byte("o")) != o {
		t.Error("the younger half goes first")
	}
	first.bytes = recentBytes
	if c.recent(task, task.space).get([]byte("o")) != nil || len(first.young)+len(first.old) != 0 {
		t.Error("it stays for ever")
	}
	for name, change := range map[string]func(){
		"another claim": func() { task.owner = "me again" },
		"another space": func() { task.name = "~next:" },
		"forgotten":     func() { c.forgetRecent(task) },
	} {
		c.recent(task, task.space).add([]byte("o"), len(b.Topics))
		if c.recent(task, newSpace("~beside:", 0, b.topics())).get([]byte("o")) != nil {
			t.Errorf("%s: a space has orders of another", name)
		}
		if change(); c.recent(task, task.space).get([]byte("o")) != nil {
			t.Errorf("%s: it is still there", name)
		}
	}
}

// owned is a generation that has one partition.
type owned struct{ broker.Generation }

func (owned) Assigned() []broker.TopicPartition { return []broker.TopicPartition{{Topic: talk}} }

// noStarts is a log that does not say for a while where it begins.
type noStarts struct {
	broker.Log
	refusals atomic.Int64
}

func (l *noStarts) Starts(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	if l.refusals.Add(-1) >= 0 {
		return nil, errors.New("not now")
	}
	return l.Log.Starts(ctx, logs)
}

// While the log refuses to be read again, the steps go on; the orders are folded again when it does not.
func TestRefusedPassIsTriedAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	part := logOf(talk, "o").Partition
	r := NewReader(b, s.redis)
	s.forget(part, "o")
	s.say(talk, "o", "three")
	_, stop = s.play(b)
	eventually(t, func() string {
		if f, _, err := r.Get(t.Context(), part, "o"); err != nil || strings.Join(f.Doc.Talk, " ") != "three" {
			return fmt.Sprint("not adopted: ", f.Doc, err)
		}
		return ""
	})
	stop()
	var other string // in the same partition
	for i := 0; other == ""; i++ {
		if id := fmt.Sprint("other-", i); logOf(talk, id).Partition == part {
			other = id
		}
	}
	s.say(talk, other, "one")
	s.put(record2(t, event.Event{
		ID: "void", Sequence: 2, PreviousID: "nobody", Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "zombie",
		Subject: "o", Time: time.Now(),
	}, talk, "never"))
	log := &noStarts{Log: s.log}
	log.refusals.Store(2)
	s.run(New(b, Config{Log: log, Redis: s.redis, Partitions: partitions}))
	s.shows(b, "o", other)
	if n := log.refusals.Load(); n >= 0 {
		t.Errorf("the log refused %d times less than it should have", n)
	}
}

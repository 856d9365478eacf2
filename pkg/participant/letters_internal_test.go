package participant

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// An order that is retried by itself from now on makes room for one that waits for a person.
func TestStoppedPartitionGoesOn(t *testing.T) {
	c, tk := newTestCycle(Behavior[int]{Name: "x"}.erase())
	defer c.watch.close()
	o := newOrder("o1", 0)
	tk.orders["o1"] = o
	o.Park("l1", "in", time.Time{})
	tk.forPerson = maxParkedOrders - 1
	tk.waits("o1", true)
	next := newOrder("o2", 0)
	tk.orders["o2"] = next
	stop(tk, next)
	q := deadletter.Request{ID: "q", Action: deadletter.Redrive, Order: "o1"}
	rec := q.Record("x")
	d := &delivery{rec: &rec, order: "o1", asks: &redrive{Request: q, held: map[string]*delivery{}}}
	l := &delivery{request: d, letter: "l1", order: "o1"}
	failAgain(tk, o, l, fault.Defer(0, "later"))
	if tk.stopped != nil && !tk.full(next, true) {
		t.Errorf("stopped although there is room: %d wait for a person", tk.forPerson)
	}
}

// A late copy of what a retry said is known: it is no other decision.
func TestLateCopyOfARetryIsKnown(t *testing.T) {
	o := newOrder("o1", 0)
	o.Park("l1", "in", time.UnixMilli(1))
	failed := deadletter.Record{Kind: deadletter.Failed, ID: "l1", RequestID: "a try", Automatic: true, Redrives: 1}
	if o.knownNote(failed) {
		t.Error("it was never said")
	}
	o.FailedAgain(failed)
	if !o.knownNote(failed) {
		t.Error("it was said")
	}
}

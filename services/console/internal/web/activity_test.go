package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	envelope "github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
)

func TestExceptionsAreDrawn(t *testing.T) {
	p := open(t)
	id := viewtest.ID("a")
	records := p.Confirmed(id, "c-1")
	records = p.put(records...)
	told := slices.Clone(records)
	for kind, of := range map[activity.Kind]int{activity.Retried: 0, activity.Deduplicated: 1, activity.Held: 2} {
		e, err := envelope.FromRecord(records[of])
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, activity.Activity{
			Kind: kind, Order: id, EventID: e.ID, EventType: e.Type, Topic: records[of].Topic, Partition: records[of].Partition,
			Reason: hostile, Attempts: 4, At: e.Time.Add(time.Microsecond),
		}.Record([]string{"payment", "order", "notification"}[of]))
	}
	p.query.Knows(order(id, "c-1"), told...)
	p.shows("/orders/"+id, `class="arrow exception retried"`, "retried: OrderPlaced",
		`class="arrow exception deduplicated"`, "deduplicated: PaymentSucceeded",
		`class="arrow exception held"`, "held: OrderConfirmed")
	if n := strings.Count(p.get("/orders/"+id, 200), `class="parked"`); n != 1 {
		t.Errorf("%d waits are drawn; the hold is one, until it was answered", n)
	}
}

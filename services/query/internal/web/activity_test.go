package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	envelope "github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

func TestExceptionsAreDrawn(t *testing.T) {
	p := open(t)
	for _, topic := range story.ActivityTopics() {
		if err := p.Log.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: querytest.Partitions}}); err != nil {
			t.Fatal(err)
		}
	}
	id := querytest.ID("a")
	records := p.Confirmed(id, "c-1")
	p.Put(records...)
	for kind, of := range map[activity.Kind]int{activity.Retried: 0, activity.Deduplicated: 1, activity.Held: 2} {
		e, err := envelope.FromRecord(records[of])
		if err != nil {
			t.Fatal(err)
		}
		p.Put(activity.Activity{
			Kind: kind, Order: id, EventID: e.ID, EventType: e.Type, Topic: records[of].Topic, Partition: records[of].Partition,
			Reason: hostile, Attempts: 4, At: e.Time.Add(time.Microsecond),
		}.Record([]string{"payment", "order", "notification"}[of]))
	}
	p.Caught()
	p.shows("/orders/"+id, `class="arrow exception retried"`, "retried: OrderPlaced", "attempt 4",
		`class="arrow exception deduplicated"`, "deduplicated: PaymentSucceeded", "came again at payment.events.v1/",
		`class="arrow exception held"`, "held: OrderConfirmed")
	if n := strings.Count(p.get("/orders/"+id, 200), `class="parked"`); n != 1 {
		t.Errorf("%d waits are drawn; the hold is one, until it was answered", n)
	}
}

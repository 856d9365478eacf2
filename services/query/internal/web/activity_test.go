package web_test

import (
	"bufio"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	envelope "github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/query/internal/console"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/story"
	"github.com/troupe-dev/troupe/services/query/internal/web"
)

func TestOpenPageHearsOfItsExceptions(t *testing.T) {
	p := open(t)
	provision(t, p)
	tail := story.NewTail(p.Log, story.ActivityTopics(), querytest.Partitions)
	p.Run(tail.Run)
	jobs := console.NewJobs()
	desk, err := console.New(p.Model, p.Log, nil, jobs, querytest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(p.Model, p.Log, desk, web.Config{Activity: tail})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(desk.Handler(auth.New(auth.Config{}), pages.Routes))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	id := querytest.ID("a")
	p.Put(p.Placed(id, "c-1"))
	p.Caught()
	resp := p.open("/live?order=" + id)
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	if got := event(t, lines, "version"); got != fmt.Sprintf(`{"order":%q,"version":1}`, id) {
		t.Fatal(got)
	}
	another := activity.Activity{Kind: activity.Held, Order: querytest.ID("another"), EventID: "e", At: p.Clock}
	p.Put(another.Record("payment"), activity.Activity{Kind: activity.Retried, Order: id, EventID: "e", At: p.Clock}.Record("payment"))
	if got := event(t, lines, "exception"); got != fmt.Sprintf(`{"kind":"retried","order":%q}`, id) {
		t.Error(got)
	}
}

func provision(t *testing.T, p *page) {
	t.Helper()
	for _, topic := range story.ActivityTopics() {
		if err := p.Log.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: querytest.Partitions}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExceptionsAreDrawn(t *testing.T) {
	p := open(t)
	provision(t, p)
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

package participant

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
)

// inquired also knows where requests end.
type inquired struct{ brokertest.Asked }

func (*inquired) Ends(context.Context, []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	return map[broker.TopicPartition]int64{{Topic: "clerk.redrive.v1"}: 9}, nil
}

func TestRequestsAreLookedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(0)
		log := &inquired{brokertest.Asked{Topics: make(chan []string, 1)}}
		b.c.cfg.Log, b.c.asked, b.c.fetched = log, map[broker.TopicPartition]*source{}, make(chan fetchResult, 1)
		b.c.put(b.t)
		events, requests := "desk.events.v1", b.c.b.requests
		fetch := func(want ...string) {
			t.Helper()
			b.c.fetch(t.Context())
			if got := <-log.Topics; !slices.Equal(got, want) {
				t.Errorf("after %v it asks for %v, not %v", time.Since(b.c.requestsAt), got, want)
			}
			b.c.receive(<-b.c.fetched)
		}
		fetch(events, requests)
		fetch(events)
		time.Sleep(requestsEvery - 1) //nolint:forbidigo // in a synctest bubble
		fetch(events)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // in a synctest bubble
		fetch(events, requests)
		b.t.source(events).pending = maxWindowEvents
		fetch(requests) // there is nothing else to ask for
		fetch(requests)
		b.t.source(events).pending = 0
		fetch(events)
		b.t.due = []string{"o1"}
		b.c.fireDeadlines(t.Context(), time.Now()) // which wait for what is in the logs now
		log.Behind = true
		fetch(events, requests)
		fetch(events, requests) // there are more
	})
}

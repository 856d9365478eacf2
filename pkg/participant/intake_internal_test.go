package participant

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// inquired is a log that says which topics a fetch asks for.
type inquired struct {
	broker.Log
	topics chan []string
	behind bool // there is more than what it brings
}

func (a *inquired) Fetch(_ context.Context, from []broker.Position) ([]broker.Fetched, error) {
	var topics []string
	for _, p := range from {
		topics = append(topics, p.Topic)
	}
	a.topics <- slices.Compact(topics)
	var got []broker.Fetched
	for _, p := range from {
		f := broker.Fetched{TopicPartition: p.TopicPartition, Next: p.Offset, End: p.Offset}
		if a.behind {
			f.End++
		}
		got = append(got, f)
	}
	return got, nil
}

func (a *inquired) Ends(context.Context, []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	return map[broker.TopicPartition]int64{{Topic: "clerk.redrive.v1"}: 9}, nil
}

func TestRequestsAreLookedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(0)
		log := &inquired{topics: make(chan []string, 1)}
		b.c.cfg.Log, b.c.asked, b.c.fetched = log, map[broker.TopicPartition]*source{}, make(chan fetchResult, 1)
		b.c.put(b.t)
		events, requests := "desk.events.v1", b.c.b.requests
		fetch := func(want ...string) {
			t.Helper()
			b.c.fetch(t.Context())
			if got := <-log.topics; !slices.Equal(got, want) {
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
		log.behind = true
		fetch(events, requests)
		fetch(events, requests) // there are more
	})
}

package projection

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// inquired is a log that says which topics a fetch asks for.
type inquired struct {
	broker.Log
	topics chan []string
}

func (a inquired) Fetch(_ context.Context, from []broker.Position) ([]broker.Fetched, error) {
	var topics []string
	for _, p := range from {
		topics = append(topics, p.Topic)
	}
	a.topics <- slices.Compact(topics)
	return nil, nil
}

func TestNotesAreLookedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := inquired{topics: make(chan []string, 1)}
		b := chronicle()
		b.Notes = []string{"margin"}
		c := newCycle(New(b, Config{Log: log, Partitions: partitions}), owned{})
		for _, task := range c.tasks {
			task.taken = true
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		fetch := func(want ...string) {
			t.Helper()
			c.fetch(t.Context(), &wg)
			if got := <-log.topics; !slices.Equal(got, want) {
				t.Errorf("after %v it asks for %v, not %v", time.Since(c.notesAt), got, want)
			}
			(<-c.news)()
		}
		fetch(talk, song, "margin")
		fetch(talk, song)
		time.Sleep(notesEvery - 1) //nolint:forbidigo // in a synctest bubble
		fetch(talk, song)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // in a synctest bubble
		fetch(talk, song, "margin")
		for _, task := range c.tasks {
			task.sources[0].pending, task.sources[1].pending = maxPending, maxPending
		}
		fetch("margin") // there is nothing else to ask for
		fetch("margin")
	})
}

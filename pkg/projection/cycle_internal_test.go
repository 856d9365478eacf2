package projection

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
)

func TestNotesAreLookedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &brokertest.Asked{Topics: make(chan []string, 1)}
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
			if got := <-log.Topics; !slices.Equal(got, want) {
				t.Errorf("after %v it asks for %v, not %v", time.Since(c.fetching.notesAt), got, want)
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
		for _, task := range c.tasks {
			task.sources[0].pending, task.sources[1].pending = 0, 0
		}
		log.Behind = true
		time.Sleep(notesEvery) //nolint:forbidigo // in a synctest bubble
		fetch(talk, song, "margin")
		fetch(talk, song, "margin") // there are more
	})
}

// Notes that cannot be read keep the instance from being ready until they can be, although most fetches do not ask for them.
func TestUnreadableNotesAreNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &brokertest.Asked{Topics: make(chan []string, 1), Denied: "margin"}
		b := chronicle()
		b.Notes = []string{"margin"}
		c := newCycle(New(b, Config{Log: log, Partitions: partitions}), owned{})
		c.set(partGroup, nil)
		for _, task := range c.tasks {
			task.taken = true
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		fetch := func() (topics []string) {
			for c.fetch(t.Context(), &wg); !c.fetching.busy; c.fetch(t.Context(), &wg) {
				time.Sleep(time.Millisecond) //nolint:forbidigo // in a synctest bubble: until it may try again
			}
			topics = <-log.Topics
			(<-c.news)()
			return topics
		}
		with := 0
		for range 9 {
			if slices.Contains(fetch(), "margin") {
				with++
			}
			if c.Ready() == nil {
				t.Fatal("ready without having read the notes")
			}
		}
		log.Denied = ""
		for !slices.Contains(fetch(), "margin") {
			with--
		}
		if with == 9 {
			t.Error("each fetch asked for notes, so this says nothing")
		}
		if err := c.Ready(); err != nil {
			t.Errorf("the notes are read, and %v", err)
		}
	})
}

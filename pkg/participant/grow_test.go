package participant_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
)

// The steps of docs/grow-partitions.md that concern the log: a new installation with more partitions takes the new
// orders, the drained one answers for its own; a request of then that comes again gets the same event ids at the new
// one, by which gateway and mail server know it.
func TestGrowByANewInstallation(t *testing.T) {
	first, second := miniredis.RunT(t), miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) { grow(t, newStage(t, first), second) })
}

func grow(t *testing.T, old *stage, mini *miniredis.Miniredis) {
	const more = 2 * partitions
	p, stop := old.play(doorman())
	defer stop()
	old.eventually("ready", func() bool { return p.Ready() == nil })
	door := admission.New(doorman(), old.config())
	orders := []string{"o1", "o2", "o3", "o4", "o5", "o6"}
	for _, id := range orders {
		if _, err := place(t.Context(), door, id, "tea"); err != nil {
			t.Fatal(err)
		}
	}
	found := func(door *admission.Control[ledger], id string) bool {
		_, ok, err := door.Find(t.Context(), id, time.Second)
		return ok && err == nil
	}
	old.eventually("drained", func() bool {
		return !slices.ContainsFunc(orders, func(id string) bool { return !found(door, id) })
	})

	log, rdb := brokertest.New(), redis.NewClient(&redis.Options{Addr: mini.Addr(), ReadTimeout: -1, WriteTimeout: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	if err := log.Provision(t.Context(), []broker.Topic{{Name: notes, Partitions: more}, {Name: mails, Partitions: more}}); err != nil {
		t.Fatal(err)
	}
	cfg := participant.Config{Log: log, Redis: rdb, Partitions: more}
	ctx, cancel := context.WithCancel(t.Context())
	next, done := participant.New(doorman(), cfg), make(chan error, 1)
	go func() { done <- next.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	old.eventually("the new one is ready", func() bool { return next.Ready() == nil })
	newDoor := admission.New(doorman(), cfg)
	for n := range 10 {
		id := fmt.Sprint("n", n)
		published, err := place(t.Context(), newDoor, id, "tea")
		want(t, "published "+id, []any{published, err}, []any{true, nil})
		old.eventually("found", func() bool { return found(newDoor, id) })
	}
	for _, r := range log.ReadTopic(clerkFacts) {
		if err := event.Misplaced(r, more); err != nil {
			t.Error(err)
		}
	}
	for _, id := range orders {
		want(t, "the old one finds "+id, found(door, id), true)
	}
	published, err := place(t.Context(), newDoor, "o1", "tea")
	want(t, "a request of then, at the new one", []any{published, err}, []any{true, nil})
	ids := func(all []broker.Record) (found []string) {
		for _, r := range all {
			if string(r.Key) == "o1" {
				found = append(found, header(r, "ce_id"))
			}
		}
		return found
	}
	want(t, "its event ids", ids(log.ReadTopic(clerkFacts)), ids(old.log.ReadTopic(clerkFacts)))
}

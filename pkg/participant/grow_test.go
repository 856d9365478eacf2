package participant_test

import (
	"context"
	"fmt"
	"testing"

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
	const more = 2 * partitions
	old := newStage(t, miniredis.RunT(t))
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
	old.eventually("drained", func() bool {
		return len(old.log.ReadTopic(clerkFacts)) == len(orders) && old.outbox("o1")+old.outbox("o2") == 0
	})

	log, rdb := brokertest.New(), redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
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
		old.eventually("found", func() bool { f, ok, err := newDoor.Find(t.Context(), id, 0); return ok && err == nil && f.Offset >= 0 })
	}
	for _, r := range log.ReadTopic(clerkFacts) {
		if err := event.Misplaced(r, more); err != nil {
			t.Error(err)
		}
	}
	for _, id := range orders {
		_, ok, err := door.Find(t.Context(), id, 0)
		want(t, "the old one finds "+id, []any{ok, err}, []any{true, nil})
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

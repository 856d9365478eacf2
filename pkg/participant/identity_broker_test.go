package participant_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

// On a broker and a store behind a network: all topics are deleted and created anew under a running instance.
func TestTopicsAreMadeAnewOnABroker(t *testing.T) {
	cfg, rdb := brokertest.Fresh(t), storetest.Fresh(t)
	log, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	p := participant.New(clerk(stamp), participant.Config{Log: log, Redis: rdb, Partitions: partitions})
	all := append(p.Topics(), broker.Topic{Name: notes, Partitions: partitions}, broker.Topic{Name: mails, Partitions: partitions})
	provision := func() {
		t.Helper()
		limit := time.Now().Add(time.Minute)
		for err := log.Provision(t.Context(), all); err != nil; err = log.Provision(t.Context(), all) {
			if fault.ClassOf(err) != fault.Unavailable || time.Now().After(limit) {
				t.Fatal(err)
			}
		}
	}
	provision()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	s := &stage{t: t, seq: map[string]head{}}
	hand := func(order, body string) {
		t.Helper()
		produce(t, log, s.note(notes, order, body))
	}
	for n := range 10 {
		hand(fmt.Sprint("o", n), "a")
	}
	want(t, "orders answered", len(readAnswers(t, log, 10)), 10)
	names := make([]string, len(all))
	for i, topic := range all {
		names[i] = topic.Name
	}
	brokertest.Deleter(t, cfg)(names...)
	provision()
	s.seq = map[string]head{}
	for n := range 20 { // those of before as well
		hand(fmt.Sprint("o", n), "a")
	}
	want(t, "orders answered", len(readAnswers(t, log, 20)), 20)
}

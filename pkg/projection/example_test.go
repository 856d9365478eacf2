package projection_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// said is the document of one order.
type said struct{ Words []string }

// chronicle folds what was said about an order, and counts the words of all.
var chronicle = projection.Behavior[said]{
	Name: "chronicle", FoldVersion: 1, Topics: []string{"talk.events.v1"},
	Fold: func(doc said, m event.Message, _ projection.At) said {
		word, ok := m.Body.(*wrapperspb.StringValue)
		if !ok {
			return doc // of a type that this release does not know
		}
		return said{Words: append(doc.Words[:len(doc.Words):len(doc.Words)], word.Value)}
	},
	Index: func(w *projection.Writes, _ string, before, after said) {
		all := projection.Name{Text: "all"}
		w.Count(all, projection.Name{Text: "words"}, int64(len(after.Words)-len(before.Words)))
	},
}

// fact is the nth event of order-1.
func fact(n uint64, word string) broker.Record {
	data, err := event.Encode(wrapperspb.String(word))
	if err != nil {
		panic(err)
	}
	id := func(n uint64) string { return event.MakeID("order-1", fmt.Sprint(n)) }
	e := event.Event{
		ID: id(n), Sequence: n, Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "talk", Subject: "order-1",
		Time: time.Now(), Data: data,
	}
	if n > 1 {
		e.PreviousID = id(n - 1)
	}
	return event.ToRecord(e, "talk.events.v1", 0)
}

// A projection folds a topic into Redis, and a reader, in any process, reads documents and what the index says.
func Example() {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	store := miniredis.NewMiniRedis()
	if err := store.Start(); err != nil {
		panic(err)
	}
	defer store.Close()
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{store.Addr()}})
	defer func() { _ = rdb.Close() }()
	log := brokertest.New() // any broker.Log will do
	ctx, leave := context.WithCancel(context.Background())
	if err := log.Provision(ctx, []broker.Topic{{Name: "talk.events.v1", Partitions: 1}}); err != nil {
		panic(err)
	}
	last := log.Append(broker.TopicPartition{Topic: "talk.events.v1"}, fact(1, "to"), fact(2, "be"), fact(1, "to")) + 2

	p := projection.New(chronicle, projection.Config{Log: log, Redis: rdb, Partitions: 1})
	left := make(chan error)
	go func() { left <- p.Run(ctx) }()

	feed := projection.NewFeed(rdb, chronicle.Name, 1)
	go func() { _ = feed.Run(ctx) }()
	moved := feed.Partition(0)
	defer moved.Stop()
	reader := projection.NewReader(chronicle, rdb)
	for {
		found, state, err := reader.Get(ctx, 0, "order-1")
		if err != nil {
			panic(err)
		}
		if state.Passed("talk.events.v1", last) {
			fmt.Println(strings.Join(found.Doc.Words, " "), "- version", found.Version) // the third was a duplicate
			break
		}
		<-moved.C
	}
	var words *redis.StringCmd
	if _, err := reader.Read(ctx, []int{0}, func(pipe projection.Pipes, keys projection.Keys) {
		words = pipe(0).HGet(ctx, keys(0, "all"), "words")
	}); err != nil {
		panic(err)
	}
	fmt.Println("words in all:", words.Val())
	leave()
	if err := <-left; err != nil {
		panic(err)
	}
	// Output:
	// to be - version 2
	// words in all: 2
}

package task_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// counting is a task: how many records of a partition were seen, kept in the store with the position.
type counting struct {
	*task.Partition
	seen, stored int64
	next         int64 // offset
}

// counter is the handler.
type counter struct {
	task.Defaults[*counting]
	done func(seen int64)
}

func (counter) New(p *task.Partition) *counting { return &counting{Partition: p} }

func (counter) Usable(_ *counting, version string) bool { return version == "1" }

// Restore goes on from what the store keeps: nothing, in an emptied one.
func (counter) Restore(_ context.Context, tasks []*counting) error {
	for _, t := range tasks {
		t.seen, t.stored, t.next = t.Stored["seen"], t.Stored["seen"], t.Inputs[0].Cursor
	}
	return nil
}

func (counter) Room() func(*counting, int) bool { return func(*counting, int) bool { return true } }

func (counter) Receive(t *counting, _ int, f broker.Fetched) {
	t.seen, t.next = t.seen+int64(len(f.Records)), f.Next
}

func (counter) Skip(t *counting, _ int, to int64) { t.next = to }

func (counter) Work(context.Context) {}

func (counter) Need(t *counting) task.Need {
	if t.seen > t.stored {
		return task.Soon
	}
	return task.Nothing
}

// Change writes the count; the engine adds the position, in the same compare-and-swap.
func (c counter) Change(t *counting, ch *task.Change) {
	seen := t.seen
	ch.Set("seen", seen)
	if seen > t.stored {
		ch.Then = func() {
			t.stored = seen
			c.done(seen)
		}
	}
}

func (counter) Position(t *counting, _ int) int64   { return t.next }
func (counter) Commitable(t *counting, _ int) int64 { return t.next }
func (counter) Next(time.Time, func(time.Time))     {}

func (counter) Lag(*counting, int) (records int, oldest, watermark time.Time) {
	return 0, oldest, watermark
}

// A handler counts records: however often it is stopped, no record is counted twice or passed over.
func Example() {
	store := miniredis.NewMiniRedis()
	if err := store.Start(); err != nil {
		panic(err)
	}
	defer store.Close()
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{store.Addr()}})
	defer func() { _ = rdb.Close() }()
	log, logged := brokertest.New(), broker.TopicPartition{Topic: "words"} // any broker.Log will do

	for range 2 { // the second time it goes on where it was
		ctx, leave := context.WithCancel(context.Background())
		cfg := task.Config{
			Name: "counter", Log: log, Store: taskstore.New(rdb, "counter"), Inputs: []string{"words"}, Partitions: 1,
			Version: "1", FetchBytes: 1 << 20, CommitEvery: time.Second, LeaveWithin: time.Second,
			Prepare: func(ctx context.Context) error {
				return log.Provision(ctx, []broker.Topic{{Name: "words", Partitions: 1}})
			},
			Logger: slog.New(slog.DiscardHandler),
		}
		begin := func(e *task.Engine[*counting]) task.Handler[*counting] {
			for n := range 3 {
				log.Append(logged, broker.Record{Value: []byte(strconv.Itoa(n))})
			}
			return counter{done: func(seen int64) {
				fmt.Println("stored:", seen)
				leave()
			}}
		}
		if err := task.Run(ctx, task.New(cfg), begin); err != nil {
			panic(err)
		}
	}
	fmt.Println("position:", store.HGet("{counter:0}:meta", task.PrefixInput+"words"))
	// Output:
	// stored: 3
	// stored: 6
	// position: 6
}

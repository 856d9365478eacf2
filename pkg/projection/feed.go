package projection

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/pack"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// pollEvery is how often a watch is woken without a message: messages are a help, and may get lost.
const pollEvery = time.Second

// Feed wakes those who wait for something to change, in this instance or any other. It keeps nothing per message, so
// nothing can pile up: a watcher that is late finds one wake-up, and reads what is there.
type Feed struct {
	rdb      redis.UniversalClient
	channels []string
	poll     time.Duration
	mu       sync.Mutex
	watches  map[string][]*Watch // by order id; of those for a whole partition by ""
}

// Watch is one who waits.
type Watch struct {
	// C gets a value when what is watched changed, and at least every second (from Feed.Run). It is never closed.
	C         chan struct{}
	feed      *Feed
	partition int
	id        string
}

// NewFeed returns the feed of a projection's partitions. It opens no connection.
func NewFeed(rdb redis.UniversalClient, name string, partitions int) *Feed {
	f := &Feed{rdb: rdb, poll: pollEvery, watches: map[string][]*Watch{}}
	s := taskstore.New(rdb, name)
	for p := range partitions {
		f.channels = append(f.channels, s.Key(p, keyChanges))
	}
	return f
}

// Run listens until ctx ends. It survives outages of Redis: those who wait are woken every second then.
func (f *Feed) Run(ctx context.Context) error {
	sub := f.rdb.Subscribe(ctx, f.channels...)
	defer func() { _ = sub.Close() }()
	messages := sub.Channel()
	poll := time.NewTicker(f.poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			f.wake(f.change(m.Channel, m.Payload))
		case <-poll.C:
			f.wakeAll()
		}
	}
}

// change reads what one step changed in a partition. What cannot be read was sent by another release; the partition is
// known.
func (f *Feed) change(channel, message string) (partition int, orders []string) {
	r := pack.Read(message)
	for !r.Ended() {
		orders = append(orders, r.Text())
	}
	if r.Err() != nil {
		orders = nil
	}
	return slices.Index(f.channels, channel), orders
}

// Order watches one order. Stop must be called.
func (f *Feed) Order(id string) *Watch { return f.watch(-1, id) }

// Partition watches the positions of a partition. Stop must be called.
func (f *Feed) Partition(partition int) *Watch { return f.watch(partition, "") }

func (f *Feed) watch(partition int, id string) *Watch {
	w := &Watch{C: make(chan struct{}, 1), feed: f, partition: partition, id: id}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches[id] = append(f.watches[id], w)
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	rest := slices.DeleteFunc(f.watches[w.id], func(o *Watch) bool { return o == w })
	if f.watches[w.id] = rest; len(rest) == 0 {
		delete(f.watches, w.id)
	}
}

func (w *Watch) wake() {
	select {
	case w.C <- struct{}{}:
	default: // a wake-up waits there already
	}
}

func (f *Feed) wake(partition int, orders []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range orders {
		for _, w := range f.watches[id] {
			w.wake()
		}
	}
	for _, w := range f.watches[""] {
		if w.partition == partition {
			w.wake()
		}
	}
}

func (f *Feed) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ws := range f.watches {
		for _, w := range ws {
			w.wake()
		}
	}
}

package story

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

const (
	// readerQueue is how many events wait for one reader; what does not fit is counted and left out.
	readerQueue = 256
	tailBytes   = 64 << 10
	tailBackoff = 500 * time.Millisecond
)

// Tail reads the ends of all logs for whoever watches; while nobody does it reads nothing.
type Tail struct {
	log  broker.Log
	logs []broker.TopicPartition

	mu      sync.Mutex
	readers []*Reader
	live    bool          // the tail has its places: what is appended from now on is seen
	first   chan struct{} // wakes Run: there is a reader
}

// Reader is one who watches.
type Reader struct {
	// C brings the events. It is never closed.
	C       chan Event
	tail    *Tail
	ready   chan struct{} // closed when the tail is live
	skipped atomic.Int64
}

// NewTail returns the tail of some topics. Run must run.
func NewTail(log broker.Log, topics []string, partitions int) *Tail {
	return &Tail{log: log, logs: broker.LogsOf(partitions, topics...), first: make(chan struct{}, 1)}
}

// Watch joins the tail. It returns when everything appended from now on will be seen; the error is Unavailable and comes when
// ctx ends before. Stop must be called.
func (t *Tail) Watch(ctx context.Context) (*Reader, error) {
	r := &Reader{C: make(chan Event, readerQueue), tail: t, ready: make(chan struct{})}
	t.mu.Lock()
	t.readers = append(t.readers, r)
	if t.live {
		close(r.ready)
	}
	t.mu.Unlock()
	select {
	case t.first <- struct{}{}:
	default: // it is awake already
	}
	select {
	case <-r.ready:
		return r, nil
	case <-ctx.Done():
		r.Stop()
		return nil, fault.New(fault.Unavailable, "the log does not answer: %w", context.Cause(ctx))
	}
}

// Stop leaves the tail.
func (r *Reader) Stop() {
	r.tail.mu.Lock()
	defer r.tail.mu.Unlock()
	r.tail.readers = slices.DeleteFunc(r.tail.readers, func(o *Reader) bool { return o == r })
}

// Skipped returns how many events were left out since the last call.
func (r *Reader) Skipped() int64 { return r.skipped.Swap(0) }

// Run reads while there are readers, until ctx ends.
func (t *Tail) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.first:
			t.follow(ctx)
		}
	}
}

// follow reads from the ends on until nobody watches.
func (t *Tail) follow(ctx context.Context) {
	var at map[broker.TopicPartition]int64
	for ctx.Err() == nil && t.watched() {
		var err error
		if at == nil {
			if at, err = t.log.Ends(ctx, t.logs); err == nil {
				t.begin()
			}
		} else {
			err = t.fetch(ctx, at)
		}
		if err != nil {
			pause(ctx, err)
		}
	}
}

// watched says whether there are readers; the tail is no longer live when there are none.
func (t *Tail) watched() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = t.live && len(t.readers) > 0
	return len(t.readers) > 0
}

func (t *Tail) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = true
	for _, r := range t.readers {
		close(r.ready)
	}
}

// fetch reads once and hands out what came. A log that does not hold its place any more goes on at its end.
func (t *Tail) fetch(ctx context.Context, at map[broker.TopicPartition]int64) error {
	from := make([]broker.Position, len(t.logs))
	for i, tp := range t.logs {
		from[i] = broker.Position{TopicPartition: tp, Offset: at[tp], MaxBytes: tailBytes}
	}
	got, err := t.log.Fetch(ctx, from)
	var events []Event
	for _, f := range got {
		if errors.Is(f.Err, broker.ErrOutOfRange) {
			var ends map[broker.TopicPartition]int64
			if ends, f.Err = t.log.Ends(ctx, []broker.TopicPartition{f.TopicPartition}); f.Err == nil {
				f.Next = ends[f.TopicPartition]
			}
		}
		if f.Err != nil {
			err = f.Err
			continue
		}
		at[f.TopicPartition] = f.Next
		for _, r := range f.Records {
			if e, ok := show(r); ok {
				events = append(events, e)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	t.hand(events)
	return err
}

func pause(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	slog.WarnContext(ctx, "live tail is waiting", "error", err)
	_ = wait.Sleep(ctx, tailBackoff) // who called looks at ctx
}

func (t *Tail) hand(events []Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		for _, r := range t.readers {
			select {
			case r.C <- e:
			default:
				r.skipped.Add(1)
			}
		}
	}
}

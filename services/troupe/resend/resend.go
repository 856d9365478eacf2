// Package resend appends every record of some topics a second time, as a producer does whose answer was lost: a fault from
// outside that no reader may notice.
package resend

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// idHeader tells copies from originals.
const idHeader = "ce_id"

// Resender copies records until it is closed. Make it with Start.
type Resender struct {
	client *kgo.Client
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	copies map[string]bool // by topic and event id
	err    error
}

// Start begins with the first record of each topic and goes on with each that is appended. The topics must exist.
func Start(ctx context.Context, brokers, topics []string) (*Resender, error) {
	return start(ctx, brokers, topics, kgo.NewOffset().AtStart())
}

// StartAtEnd is Start for what is appended from about now on.
func StartAtEnd(ctx context.Context, brokers, topics []string) (*Resender, error) {
	return start(ctx, brokers, topics, kgo.NewOffset().AtEnd())
}

func start(ctx context.Context, brokers, topics []string, from kgo.Offset) (*Resender, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(from), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Resender{client: client, cancel: cancel, copies: map[string]bool{}}
	r.done.Go(func() { r.run(ctx) })
	return r, nil
}

// Close stops and returns what went wrong, if anything did.
func (r *Resender) Close() error {
	r.cancel()
	r.done.Wait()
	r.client.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Copies is how many records have been appended again.
func (r *Resender) Copies() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.copies)
}

func (r *Resender) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetched := r.client.PollFetches(ctx)
		for _, e := range fetched.Errors() {
			if ctx.Err() == nil {
				r.fail(fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err))
			}
		}
		var again []*kgo.Record
		fetched.EachRecord(func(f *kgo.Record) {
			if c := r.take(f); c != nil {
				again = append(again, c)
			}
		})
		if err := r.client.ProduceSync(ctx, again...).FirstErr(); err != nil && ctx.Err() == nil {
			r.fail(fmt.Errorf("append again: %w", err))
		}
	}
}

// take returns the copy to append of a record seen first, nil for a copy.
func (r *Resender) take(f *kgo.Record) *kgo.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := f.Topic + " "
	for _, h := range f.Headers {
		if h.Key == idHeader {
			key += string(h.Value)
		}
	}
	if r.copies[key] {
		return nil
	}
	r.copies[key] = true
	return &kgo.Record{Topic: f.Topic, Partition: f.Partition, Key: f.Key, Value: f.Value, Headers: f.Headers, Timestamp: f.Timestamp}
}

func (r *Resender) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

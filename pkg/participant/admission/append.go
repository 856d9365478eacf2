package admission

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
)

// appender is group commit: what arrives while a produce is under way shares the next one.
type appender struct {
	log     broker.Log
	status  refusals
	mu      sync.Mutex
	waiting []*request
	running bool
}

type request struct {
	rec    broker.Record
	offset int64
	err    error
	done   chan struct{}
}

// maxBacklog bounds the requests that wait for their produce; more are refused as unavailable.
const maxBacklog = 10_000

func (a *appender) append(ctx context.Context, rec broker.Record) (int64, error) {
	r := &request{rec: rec, done: make(chan struct{})}
	a.mu.Lock()
	if len(a.waiting) >= maxBacklog {
		a.mu.Unlock()
		return 0, fault.Later(time.Second, "too many requests wait for the broker")
	}
	a.waiting = append(a.waiting, r)
	lead := !a.running
	a.running = true
	a.mu.Unlock()
	if lead {
		go a.run() // ends when none waits; its produces are bounded by the client's time-out
	}
	select {
	case <-r.done:
		return r.offset, r.err
	case <-ctx.Done():
		return 0, fault.Later(time.Second, "the broker did not answer in time: %w", ctx.Err())
	}
}

func (a *appender) run() {
	for {
		a.mu.Lock()
		n := fitting(a.waiting)
		batch := a.waiting[:n]
		a.waiting = a.waiting[n:]
		if len(batch) == 0 {
			a.running = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		a.produce(batch)
	}
}

// fitting is how many of the requests fit into one batch, whatever their logs are.
func fitting(rs []*request) int {
	size := 0
	for i, r := range rs {
		if size += outbox.Bytes(r.rec); i > 0 && (size > outbox.BatchBytes || i == outbox.BatchRecords) {
			return i
		}
	}
	return len(rs)
}

func (a *appender) produce(batch []*request) {
	byLog := map[broker.TopicPartition][]*request{}
	var batches []broker.Batch
	for _, r := range batch {
		tp := broker.TopicPartition{Topic: r.rec.Topic, Partition: r.rec.Partition}
		byLog[tp] = append(byLog[tp], r)
	}
	for tp, rs := range byLog {
		b := broker.Batch{TopicPartition: tp}
		for _, r := range rs {
			b.Records = append(b.Records, r.rec)
		}
		batches = append(batches, b)
	}
	var mu sync.Mutex
	var apart []*request
	a.log.Produce(context.Background(), batches, func(p broker.Produced) {
		rs := byLog[p.TopicPartition]
		refused := fault.ClassOf(p.Err) == fault.Permanent
		a.status.set(p.TopicPartition, p.Err, refused)
		if refused && len(rs) > 1 { // one alone may be at fault
			mu.Lock()
			defer mu.Unlock()
			apart = append(apart, rs...)
			return
		}
		for i, r := range rs {
			if r.offset = p.Base + int64(i); p.Err != nil {
				r.err = fault.Later(time.Second, "publish: %w", p.Err)
			}
			close(r.done)
		}
	})
	for _, r := range apart {
		a.produce([]*request{r})
	}
}

package admission

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
)

// appender is group commit, each partition for itself: what arrives while a produce to it is under way shares its next
// one, and a leader that does not answer keeps nobody else waiting.
type appender struct {
	log    broker.Log
	status refusals

	mu      sync.Mutex
	backlog int                // requests that wait, of all partitions
	waiting map[int][]*request // by partition; absent: no produce to it is under way
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
	if a.backlog >= maxBacklog {
		a.mu.Unlock()
		return 0, fault.Later(time.Second, "too many requests wait for the broker")
	}
	_, running := a.waiting[rec.Partition]
	a.waiting[rec.Partition] = append(a.waiting[rec.Partition], r)
	a.backlog++
	a.mu.Unlock()
	if !running {
		go a.run(rec.Partition) // ends when none waits; its produces are bounded by the client's time-out
	}
	select {
	case <-r.done:
		return r.offset, r.err
	case <-ctx.Done():
		return 0, fault.Later(time.Second, "the broker did not answer in time: %w", ctx.Err())
	}
}

func (a *appender) run(partition int) {
	for {
		a.mu.Lock()
		waiting := a.waiting[partition]
		n := fitting(waiting)
		a.waiting[partition] = waiting[n:]
		a.backlog -= n
		if n == 0 {
			delete(a.waiting, partition)
		}
		a.mu.Unlock()
		if n == 0 {
			return
		}
		a.produce(waiting[:n])
	}
}

// fitting is how many of the requests fit into one batch.
func fitting(rs []*request) int {
	size := 0
	for i, r := range rs {
		if size += r.rec.Bytes(); i > 0 && (size > outbox.BatchBytes || i == outbox.BatchRecords) {
			return i
		}
	}
	return len(rs)
}

// produce appends requests of one log as one batch.
func (a *appender) produce(rs []*request) {
	b := broker.Batch{TopicPartition: broker.TopicPartition{Topic: rs[0].rec.Topic, Partition: rs[0].rec.Partition}}
	for _, r := range rs {
		b.Records = append(b.Records, r.rec)
	}
	apart := false
	a.log.Produce(context.Background(), []broker.Batch{b}, func(p broker.Produced) {
		refused := fault.ClassOf(p.Err) == fault.Permanent
		a.status.set(p.TopicPartition, p.Err, refused)
		if apart = refused && len(rs) > 1; apart { // one alone may be at fault
			return
		}
		for i, r := range rs {
			if r.offset = p.Base + int64(i); p.Err != nil {
				r.err = fault.Later(time.Second, "publish: %w", p.Err)
			}
			close(r.done)
		}
	})
	if apart {
		for i := range rs {
			a.produce(rs[i : i+1])
		}
	}
}

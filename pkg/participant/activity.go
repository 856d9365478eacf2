package participant

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Bounds of what telling may cost: one produce request in a while, of no more than the queue holds. What does not fit
// is dropped.
const (
	activityQueue   = 1024
	activityEvery   = 100 * time.Millisecond
	activityWithin  = 5 * time.Second // for one produce
	activityLeaving = time.Second     // for the last
	activityText    = 512             // of the names in one, in bytes
)

var activityDropped = telemetry.ActivityDropped.Counter()

// teller publishes to the activity topic beside the cycle, with best effort: it never blocks who tells, tries once,
// and counts what is dropped. A nil teller tells nothing.
type teller struct {
	name  string
	label attribute.KeyValue
	log   broker.Log
	queue chan activity.Activity
	leave chan struct{} // closed when there will be no more
	done  sync.WaitGroup
	stop  context.CancelFunc
}

// newTeller begins; close ends it.
func newTeller(ctx context.Context, name string, log broker.Log) *teller {
	t := &teller{
		name: name, label: telemetry.Participant.String(name), log: log,
		queue: make(chan activity.Activity, activityQueue), leave: make(chan struct{}),
	}
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	t.done.Go(func() { t.run(ctx) })
	return t
}

// close waits a moment for what is still to be told.
func (t *teller) close() {
	if t == nil {
		return
	}
	close(t.leave)
	late := time.AfterFunc(activityLeaving, t.stop)
	t.done.Wait()
	late.Stop()
	t.stop()
}

// tell tells of a delivery. An event that fails again and again is told of at its 1st, 2nd, 4th, 8th … attempt.
func (t *teller) tell(kind activity.Kind, d *delivery, reason string) {
	if t == nil {
		return
	}
	a := activity.Activity{
		Kind: kind, Order: d.order, EventID: d.id(), EventType: d.ev.Type, Topic: d.topic(), Partition: d.rec.Partition,
		Offset: d.rec.Offset, Reason: reason, At: time.Now().UTC(),
	}
	if kind == activity.Retried || kind == activity.Held {
		if a.Attempts = d.tries; a.Attempts&(a.Attempts-1) != 0 {
			return
		}
	}
	if len(a.Order)+len(a.EventID)+len(a.EventType) > activityText {
		t.dropped(1, "large")
		return
	}
	select {
	case t.queue <- a:
	default:
		t.dropped(1, "full")
	}
}

func (t *teller) dropped(n int, reason string) {
	activityDropped.Add(context.Background(), int64(n), metric.WithAttributes(t.label, telemetry.Reason.String(reason)))
}

// run publishes what is told, and at the end what is left.
func (t *teller) run(ctx context.Context) {
	rest := time.NewTicker(activityEvery)
	defer rest.Stop()
	for {
		select {
		case a := <-t.queue:
			t.publish(ctx, a)
		case <-t.leave:
			select {
			case a := <-t.queue:
				t.publish(ctx, a)
			default:
			}
			return
		}
		select {
		case <-rest.C:
		case <-t.leave:
		}
	}
}

// publish tells the first, and what is in the queue by now.
func (t *teller) publish(ctx context.Context, first activity.Activity) {
	ctx, cancel := context.WithTimeout(ctx, activityWithin)
	defer cancel()
	all := []activity.Activity{first}
	for n := len(t.queue); n > 0; n-- {
		all = append(all, <-t.queue)
	}
	slices.SortStableFunc(all, func(a, b activity.Activity) int { return a.Partition - b.Partition })
	var batches []broker.Batch
	sizes := map[int]int{} // by partition
	for _, a := range all {
		if sizes[a.Partition]++; sizes[a.Partition] == 1 {
			tp := broker.TopicPartition{Topic: activity.Topic(t.name), Partition: a.Partition}
			batches = append(batches, broker.Batch{TopicPartition: tp})
		}
		last := &batches[len(batches)-1]
		last.Records = append(last.Records, a.Record(t.name))
	}
	t.log.Produce(ctx, batches, func(p broker.Produced) {
		if p.Err != nil {
			t.dropped(sizes[p.Partition], "refused")
		}
	})
}

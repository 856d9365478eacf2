package pulse

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// tryAgain is how long topics that did not answer are left alone: asking for one that is missing makes the client look for it everywhere.
const tryAgain = 30 * time.Second

// exceptions counts what participants tell of their activity, by second. They may tell nothing, or drop some; the topics may be missing.
type exceptions struct {
	log   broker.Log
	logs  []broker.TopicPartition
	next  map[broker.TopicPartition]int64 // nil: not known
	tried time.Time                       // when they did not answer last
	kinds [seconds]struct {
		unix   int64
		counts map[activity.Kind]int
	}
}

func newExceptions(cfg Config) *exceptions {
	x := &exceptions{log: cfg.Log}
	for _, participant := range letters.Participants {
		x.logs = append(x.logs, cfg.logsOf(activity.Topic(participant))...)
	}
	return x
}

// read takes in what is new since the last time; from the first time on.
func (x *exceptions) read(ctx context.Context) {
	if time.Since(x.tried) < tryAgain {
		return
	}
	ends, err := x.log.Ends(ctx, x.logs)
	if err != nil {
		x.next, x.tried = nil, time.Now()
		return
	}
	if x.next == nil {
		x.next = ends
		return
	}
	var from []broker.Position
	for _, tp := range x.logs {
		if x.next[tp] < ends[tp] {
			from = append(from, broker.Position{TopicPartition: tp, Offset: x.next[tp], MaxBytes: readBytes})
		}
	}
	if len(from) == 0 {
		return
	}
	fetched, err := x.log.Fetch(ctx, from)
	if err != nil {
		return
	}
	for _, f := range fetched {
		if f.Err != nil {
			x.next[f.TopicPartition] = ends[f.TopicPartition]
			continue
		}
		for _, r := range f.Records {
			if a, err := activity.Parse(r); err == nil {
				x.count(a)
			}
		}
		x.next[f.TopicPartition] = f.Next
	}
}

func (x *exceptions) count(a activity.Activity) {
	u := a.At.Unix()
	at := &x.kinds[uint64(u)%seconds]
	if at.unix < u {
		at.unix, at.counts = u, map[activity.Kind]int{}
	}
	if at.unix == u {
		at.counts[a.Kind]++
	}
}

// lately counts one kind in the last minute; ok is false when nobody can say.
func (x *exceptions) lately(kind activity.Kind, now time.Time) (n int, ok bool) {
	for _, at := range x.kinds {
		if at.unix > now.Unix()-kept {
			n += at.counts[kind]
		}
	}
	return n, x.next != nil
}

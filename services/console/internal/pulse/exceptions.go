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

// exceptions counts in a journal what participants tell of their activity. They may tell nothing, or drop some; the topics may be
// missing.
type exceptions struct {
	journal *journal
	logs    []broker.TopicPartition
	next    map[broker.TopicPartition]int64 // nil: not known
	tried   time.Time                       // when they did not answer last
}

func newExceptions(cfg Config, j *journal) *exceptions {
	x := &exceptions{journal: j}
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
	ends, err := x.journal.log.Ends(ctx, x.logs)
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
	fetched, err := x.journal.log.Fetch(ctx, from)
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
	switch at := x.journal.at(a.At); a.Kind {
	case activity.Retried:
		at.retried++
	case activity.Deduplicated:
		at.deduplicated++
	}
}

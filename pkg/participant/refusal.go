package participant

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// notPublished decides how a batch is sent again that was not acknowledged. An outage is waited out. A batch that the broker refuses
// for good (too large, not authorized, a policy) is divided until the entry at fault is alone, and what is before it has left. That one
// leaves by reference when it is a letter and too large; any other keeps its log waiting, aloud, until an operator has mended what
// refuses it: a fact that was decided cannot be given up, and nothing may pass it.
func (c *cycle) notPublished(a *appending) {
	l, err := a.log, a.result.Err
	c.watch.count(publishRetried, 1, telemetry.Topic.String(l.Topic))
	refused := fault.ClassOf(err) == fault.Permanent
	if refused && len(a.entries) > 1 {
		l.most = len(a.entries) / 2
		return
	}
	if errors.Is(err, broker.ErrTooLarge) {
		if letter, ok := deadletter.ByReference(a.entries[0].Record); ok && l.Topic == c.b.letters {
			a.entries[0].Record = letter
			c.watch.log.Warn("a letter is too large for its topic and leaves without its bytes", "topic", l.Topic, "partition", l.Partition,
				"order_id", a.entries[0].Order, "error", err)
			return
		}
	}
	l.tries++
	l.retryAt = time.Now().Add(wait.Backoff(l.tries))
	switch {
	case refused:
		c.watch.count(publishRefused, 1, telemetry.Topic.String(l.Topic))
		if l.refused == nil {
			c.watch.log.Error("kafka refuses what is published; its partition waits until that is mended", "topic", l.Topic,
				"partition", l.Partition, "order_id", a.entries[0].Order, "error", err)
		}
		l.refused = err
	case l.tries == 1:
		c.watch.log.Warn("publishing failed, trying again", "topic", l.Topic, "partition", l.Partition, "error", err)
	}
}

// refusals is what Kafka has lately refused of what came in at a door.
type refusals struct {
	name string
	mu   sync.Mutex
	at   time.Time
	err  error // nil: what was published last was taken
}

// refusedFor is how long a door says of a refusal that it is not ready. While it does, nobody may come by whom the broker would tell
// that it is mended.
const refusedFor = 15 * time.Second

func (r *refusals) set(tp broker.TopicPartition, err error, refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case refused:
		telemetry.By(telemetry.Participant.String(r.name), telemetry.Topic.String(tp.Topic)).Add(context.Background(), publishRefused, 1)
		if r.err == nil {
			slog.Error("kafka refuses what came in at the door", "participant", r.name, "topic", tp.Topic, "partition", tp.Partition, "error", err)
		}
		r.at, r.err = time.Now(), fault.New(fault.Unavailable, "%s does not take what comes in: %w", tp.Topic, err)
	case err == nil:
		r.err = nil
	}
}

func (r *refusals) ready(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.at) >= refusedFor {
		return nil
	}
	return r.err
}

package participant

import (
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// notPublished decides how a batch is sent again that was not acknowledged. An outage is waited out. A batch that the
// broker refuses for good (too large, not authorized, a policy) is divided until the entry at fault is alone, and what
// is before it has left. That one leaves by reference when it is a letter and too large; any other keeps its log
// waiting, aloud, until an operator has mended what refuses it: a fact that was decided cannot be given up, and
// nothing may pass it.
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

package admission

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/task"
)

// presentFor is how long the topic is believed to be still the same log.
const presentFor = time.Second

// present is the log that a topic is now, at most presentFor ago.
type present struct {
	topic string
	known atomic.Pointer[identity]
	ask   chan struct{} // has a place for who asks
}

type identity struct {
	log string
	at  time.Time
}

// log asks again when what is known is old; one request does, while the others believe what is known. So do all when
// the broker does not answer: then nothing can have come into another log.
func (p *present) log(ctx context.Context, cfg participant.Config) (string, error) {
	known := p.known.Load()
	if known != nil && time.Since(known.at) < presentFor {
		return known.log, nil
	}
	select {
	case p.ask <- struct{}{}:
	default:
		if known != nil {
			return known.log, nil
		}
		select {
		case p.ask <- struct{}{}:
		case <-ctx.Done():
			return "", fault.Later(time.Second, "the log is being asked: %w", context.Cause(ctx))
		}
	}
	defer func() { <-p.ask }()
	if now := p.known.Load(); now != known { // somebody was quicker
		return now.log, nil
	}
	var now identity
	found, err := task.Identify(ctx, cfg.Log, []string{p.topic}, cfg.Partitions)
	switch {
	case err == nil && found.Missing != "":
		return "", fault.Later(time.Second, "topic %s does not exist", p.topic)
	case err == nil:
		now.log = found.IDs[p.topic]
	case known == nil:
		return "", fault.Later(time.Second, "the log cannot be asked: %w", err)
	default:
		now.log = known.log
	}
	now.at = time.Now()
	p.known.Store(&now)
	return now.log, nil
}

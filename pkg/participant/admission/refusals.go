package admission

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// refusals is what Kafka has lately refused of what was admitted.
type refusals struct {
	name string
	mu   sync.Mutex
	at   time.Time
	err  error // nil: what was published last was taken
}

// refusedFor is how long a refusal keeps the instance from being ready. While it does, nobody may come by whom the
// broker would tell that it is mended.
const refusedFor = 15 * time.Second

var publishRefused = telemetry.PublishRefused.Counter()

func (r *refusals) set(tp broker.TopicPartition, err error, refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case refused:
		by := telemetry.By(telemetry.Participant.String(r.name), telemetry.Topic.String(tp.Topic))
		by.Add(context.Background(), publishRefused, 1)
		if r.err == nil {
			slog.Error("kafka refuses what was admitted", "participant", r.name, "topic", tp.Topic,
				"partition", tp.Partition, "error", err)
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

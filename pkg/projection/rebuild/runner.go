package rebuild

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
)

var (
	rebuilds    = telemetry.Rebuilds.Counter()
	keysCleared = telemetry.RebuildCleared.Counter()
)

// Live is a live copy that this instance owns.
type Live struct {
	Copy  string
	Owner string // its token
	// Stale: to be rebuilt although nobody asks, since another fold version has folded it, or a head is in doubt.
	Stale bool
}

// Engine folds the copies. Its methods are called by one goroutine, and return without effect when it has ended.
type Engine interface {
	// Live returns the live copies that this instance owns, by partition.
	Live() map[int]Live
	// Build folds these shadows, named by partition, each from where it is, and no others. It returns the
	// partitions whose shadows it folded until then.
	Build(shadows map[int]string) (stopped []int)
	// Swap calls try at a moment when neither the live copy of a partition nor its shadow is written. After true
	// the shadow is folded as what is live.
	Swap(partition int, try func() bool)
	// Reclaim has the engine read the pointer of a partition again.
	Reclaim(partition int)
}

// Runner rebuilds the partitions that one instance owns.
type Runner struct {
	// Name of the projection, the fold version and the topics of this instance's code.
	Name    string
	Version string
	Topics  []string
	// Every is how often to look for requests. Default 1 s.
	Every  time.Duration
	Engine Engine

	rdb        redis.UniversalClient
	store      *taskstore.Store
	log        *slog.Logger
	clearing   atomic.Bool
	background sync.WaitGroup
}

func (r *Runner) by(more ...attribute.KeyValue) *telemetry.Labels {
	return telemetry.By(append(more, telemetry.Participant.String(r.Name))...)
}

// tell reports the begin and the end of a rebuild.
func (r *Runner) tell(partition int, before, after entry) {
	log := r.log.With("partition", partition, "rebuild", after.is.ID, "release", after.is.Release)
	switch {
	case before.is.State == after.is.State && before.shadow == after.shadow:
	case after.is.State == Folding:
		log.Info("rebuild began")
	default:
		r.by(telemetry.Reason.String(string(after.is.State))).Add(context.Background(), rebuilds, 1)
		log.Info("rebuild ended", "outcome", string(after.is.State), "records", after.is.Folded)
	}
}

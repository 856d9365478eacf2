package rebuild

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
)

const (
	// lookEvery is how often an owner looks for requests, and whether the pointer is still where it was.
	lookEvery = time.Second
	// foldEvery is how often it looks how far a shadow is, and closeEvery how often when that is near the live copy.
	foldEvery  = 50 * time.Millisecond
	closeEvery = 5 * time.Millisecond
	// closeGap is how many records behind the live copy is near.
	closeGap = 1000
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

// Run looks after the rebuilds until ctx ends. Outages are waited out: the engine tells them.
func (r *Runner) Run(ctx context.Context, rdb redis.UniversalClient) {
	r.rdb, r.store, r.log = rdb, taskstore.New(rdb, r.Name), slog.With("projection", r.Name)
	if r.Every == 0 {
		r.Every = lookEvery
	}
	defer r.background.Wait()
	for wait := time.NewTimer(0); ; {
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
			wait.Reset(r.step(ctx))
		}
	}
}

// step takes every partition on, and returns when to look again.
func (r *Runner) step(ctx context.Context) (again time.Duration) {
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	live := r.Engine.Live()
	entries, err := read(asking, r.store, slices.Collect(maps.Keys(live)))
	if err == nil {
		err = r.decide(asking, live, entries)
	}
	if err != nil {
		return r.Every
	}
	r.clear(ctx, entries)
	return r.advance(asking, live, entries)
}

// decide begins, joins and cancels rebuilds. Then entries are as they were written, without those of partitions
// that were lost.
func (r *Runner) decide(ctx context.Context, live map[int]Live, entries map[int]entry) error {
	shadows, changes := map[int]string{}, map[int]entry{}
	for p, e := range entries {
		if e.live != live[p].Copy {
			r.Engine.Reclaim(p) // the pointer was lost, or moved in the moment of the claim
			delete(entries, p)
			continue
		}
		next, changed := e.next(live[p].Stale)
		if changed {
			changes[p] = next
		}
		if next.shadow == e.shadow && e.shadow != "" {
			shadows[p] = e.shadow
		}
	}
	// What is dropped is stopped before its meta goes. After a wipe there is only the clearing to ask for.
	for _, p := range r.Engine.Build(shadows) {
		if e, ok := entries[p]; ok {
			if next, changed := changes[p]; changed {
				e = next
			}
			e.clear = token()
			changes[p] = e
		}
	}
	for p, next := range changes {
		owned, err := r.write(ctx, p, live[p].Owner, entries[p], next)
		if err != nil {
			return err
		}
		if !owned {
			delete(entries, p)
			delete(shadows, p)
			continue
		}
		r.tell(p, entries[p], next)
		if entries[p] = next; next.shadow != "" {
			shadows[p] = next.shadow
		}
	}
	r.Engine.Build(shadows)
	return nil
}

// advance swaps what has caught up, and returns when to look again.
func (r *Runner) advance(ctx context.Context, live map[int]Live, entries map[int]entry) (again time.Duration) {
	again = r.Every
	copies, err := readMetas(ctx, r.store, entries)
	if err != nil {
		return again
	}
	for p, m := range copies {
		again = min(again, foldEvery)
		_, gap := progress(m.live, m.shadow)
		if gap > closeGap || m.shadow[FieldVersion] != r.Version {
			continue
		}
		again = min(again, closeEvery)
		r.Engine.Swap(p, func() bool { return r.swap(ctx, p, live[p].Owner, entries[p]) })
	}
	return again
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

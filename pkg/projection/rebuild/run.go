package rebuild

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore"
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
			e.clear = Token()
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

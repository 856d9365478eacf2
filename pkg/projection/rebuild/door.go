package rebuild

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// askWithin bounds every call of a Door: who asks is told that the store is away, not kept.
const askWithin = 3 * time.Second

// Door asks for rebuilds of a projection's read model, from any instance, and reads how far they are.
type Door struct {
	rdb        redis.UniversalClient
	store      *taskstore.Store
	partitions int
}

// NewDoor returns the door to the rebuilds of the projection with this name. It opens no connection.
func NewDoor(rdb redis.UniversalClient, name string, partitions int) *Door {
	return &Door{rdb: rdb, store: taskstore.New(rdb, name), partitions: partitions}
}

// Start asks for a rebuild of every partition that has none under way. The owners begin within a second. Conflict
// when all partitions have one, otherwise errors are Unavailable.
func (d *Door) Start(ctx context.Context) ([]Status, error) {
	want := request{ID: uuid.NewString(), At: time.Now().UTC()}
	return d.ask(ctx, "every partition of the read model is being rebuilt already", func(s Status) (request, bool) {
		return want, !s.State.Active()
	})
}

// Cancel ends the rebuilds under way, except those that a release began; what is live stays. Conflict when there is
// none, otherwise errors are Unavailable.
func (d *Door) Cancel(ctx context.Context) ([]Status, error) {
	return d.ask(ctx, "no rebuild that could be cancelled is under way", func(s Status) (request, bool) {
		return request{ID: s.ID, Cancel: true, At: s.Requested}, s.State.Active() && !s.Release
	})
}

// ask writes a request to some partitions; none says what the conflict is when there are none to ask.
func (d *Door) ask(ctx context.Context, none string, what func(Status) (request, bool)) ([]Status, error) {
	now, err := d.State(ctx)
	if err != nil {
		return nil, err
	}
	writes, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	pipe := d.rdb.Pipeline() // each stands alone: on a Redis Cluster they are of many slots
	for _, s := range now {
		if want, ok := what(s); ok {
			text, err := json.Marshal(want)
			if err != nil {
				return nil, err
			}
			pipe.HSet(writes, d.store.Key(s.Partition, Key), fieldWant, string(text))
		}
	}
	if pipe.Len() == 0 {
		return nil, fault.New(fault.Conflict, "%s", none)
	}
	if _, err := pipe.Exec(writes); err != nil {
		return nil, Unavailable(err)
	}
	return d.State(ctx)
}

// State reads the last rebuild of every partition. Errors are Unavailable.
func (d *Door) State(ctx context.Context) ([]Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	partitions := make([]int, d.partitions)
	for p := range partitions {
		partitions[p] = p
	}
	entries, err := read(ctx, d.store, partitions)
	if err != nil {
		return nil, err
	}
	metas, err := readMetas(ctx, d.store, entries)
	if err != nil {
		return nil, err
	}
	all := make([]Status, d.partitions)
	for p := range all {
		e, s := entries[p], entries[p].is
		switch m, building := metas[p]; {
		case e.want.ID != e.is.ID:
			s = Status{ID: e.want.ID, State: Requested, Requested: e.want.At}
		case building:
			folded, gap := progress(m.live, m.shadow)
			s.Folded, s.Of = folded, folded+gap
		}
		s.Partition, s.Clearing = p, e.clear != ""
		all[p] = s
	}
	return all, nil
}

// read reads the entries of some partitions.
func read(ctx context.Context, s *taskstore.Store, partitions []int) (map[int]entry, error) {
	keys := make([]string, len(partitions))
	for i, p := range partitions {
		keys[i] = s.Key(p, Key)
	}
	hashes, err := s.Hashes(ctx, keys)
	if err != nil {
		return nil, err
	}
	entries := map[int]entry{}
	for i, p := range partitions {
		entries[p] = entryOf(hashes[i])
	}
	return entries, nil
}

// metas are those of the copies of a partition that is being rebuilt.
type metas struct{ live, shadow map[string]string }

func readMetas(ctx context.Context, s *taskstore.Store, entries map[int]entry) (map[int]metas, error) {
	var partitions []int
	var keys []string
	for p, e := range entries {
		if e.shadow != "" {
			partitions = append(partitions, p)
			keys = append(keys, s.Key(p, e.live+Meta), s.Key(p, e.shadow+Meta))
		}
	}
	hashes, err := s.Hashes(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := map[int]metas{}
	for i, p := range partitions {
		found[p] = metas{hashes[2*i], hashes[2*i+1]}
	}
	return found, nil
}

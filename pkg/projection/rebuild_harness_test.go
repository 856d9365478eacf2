package projection

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// gate is a log that lets nobody read from some offsets while it is shut: what is rebuilt stays in the middle.
type gate struct {
	broker.Log
	mu       sync.Mutex
	from, to int64
	logs     []string // nil: all
	open     chan struct{}
	waits    int
	joined   bool // what is read before is no rebuild
}

func newGate(log broker.Log) *gate { return &gate{Log: log, open: make(chan struct{})} }

func (g *gate) shut(from, to int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.from, g.to, g.waits, g.open = from, to, 0, make(chan struct{})
}

func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
	g.from, g.to = 0, 0
}

func (g *gate) Join(ctx context.Context, group string, topics []string, partitions int,
	serve func(context.Context, broker.Generation) error) error {
	g.mu.Lock()
	g.joined = true
	g.mu.Unlock()
	return g.Log.Join(ctx, group, topics, partitions, serve)
}

func (g *gate) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	g.mu.Lock()
	open := g.open
	wait := g.joined && slices.ContainsFunc(from, func(p broker.Position) bool {
		return g.from <= p.Offset && p.Offset < g.to && (g.logs == nil || slices.Contains(g.logs, p.Topic))
	})
	if wait {
		g.waits++
	}
	g.mu.Unlock()
	if wait {
		select {
		case <-open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return g.Log.Fetch(ctx, from)
}

// reached waits until somebody stands before the gate.
func (g *gate) reached(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		if g.waiting() == 0 {
			return "nobody reads there"
		}
		return ""
	})
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waits
}

// rebuilt waits until the last rebuild of every partition is in a state, and nothing that it left is there.
func (s *stage) rebuilt(b Behavior[script], state RebuildState) []Rebuild {
	s.t.Helper()
	door := NewRebuilds(b, s.redis, partitions)
	var last []Rebuild
	eventually(s.t, func() string {
		all, err := door.State(s.t.Context())
		if err != nil {
			return err.Error()
		}
		for _, r := range all {
			if r.State != state || r.Clearing {
				return fmt.Sprintf("partition %d: %+v", r.Partition, r)
			}
		}
		last = all
		return ""
	})
	s.oneSpace(b)
	return last
}

// oneSpace checks that every key is of the space that is live.
func (s *stage) oneSpace(b Behavior[script]) {
	s.t.Helper()
	st := NewReader(b, s.redis).store
	err := st.Scan(s.t.Context(), func(p int, rests []string) error {
		live := s.redis.HGet(s.t.Context(), st.Key(p, keyMeta), fieldSpace).Val()
		for _, rest := range rests {
			if !reserved(rest) && spaceOf(rest) != live {
				s.t.Errorf("key %s of partition %d is left, live is %q", rest, p, live)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) ask(b Behavior[script], keep bool) {
	s.t.Helper()
	if _, err := NewRebuilds(b, s.redis, partitions).Start(s.t.Context(), keep); err != nil {
		s.t.Fatal(err)
	}
}

func equal(t *testing.T, all []Rebuild) {
	t.Helper()
	for _, r := range all {
		if r.Differing != 0 || r.LiveHash != r.RebuiltHash || r.LiveHash == "" || r.Folded != r.Of {
			t.Errorf("partition %d: %+v", r.Partition, r)
		}
	}
}

// orders makes some with events in both topics.
func (s *stage) orders(n int) (ids []string) {
	for i := range n {
		id := fmt.Sprint("order-", i)
		ids = append(ids, id)
		s.say(talk, id, "one", "two", "three")
		s.say(song, id, "la", "li")
	}
	return ids
}

// watchReads reads all orders all the time until stop is called: each read is answered, and no order becomes older.
func (s *stage) watchReads(b Behavior[script], ids []string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		r := NewReader(b, s.redis)
		reads, versions := 0, map[string]uint64{}
		for ; ctx.Err() == nil; reads++ {
			id := ids[reads%len(ids)]
			f, state, err := r.Get(ctx, logOf(talk, id).Partition, id)
			switch {
			case ctx.Err() != nil:
			case err != nil || state.Rebuilding:
				s.t.Errorf("read %d: %v, rebuilding %v", reads, err, state.Rebuilding)
				cancel()
			case f.Version < versions[id]:
				s.t.Errorf("order %s went back from version %d to %d", id, versions[id], f.Version)
				cancel()
			default:
				versions[id] = f.Version
			}
		}
		done <- reads
	}()
	return sync.OnceFunc(func() {
		cancel()
		if reads := <-done; reads < 100 {
			s.t.Errorf("only %d reads", reads)
		}
	})
}

func (s *stage) rebuildOf(b Behavior[script], p int) Rebuild {
	s.t.Helper()
	all, err := NewRebuilds(b, s.redis, partitions).State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return all[p]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// spaces reads names from the metas.
func (s *stage) spaces(b Behavior[script], field string) (names []string) {
	for p := range partitions {
		names = append(names, s.redis.HGet(s.t.Context(), NewReader(b, s.redis).store.Key(p, keyMeta), field).Val())
	}
	return names
}

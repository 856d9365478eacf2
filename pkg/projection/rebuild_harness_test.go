package projection

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
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
func (s *stage) rebuilt(b Behavior[script], state rebuild.State) []rebuild.Status {
	s.t.Helper()
	var last []rebuild.Status
	eventually(s.t, func() string {
		all := s.rebuilds(b)
		for _, r := range all {
			if r.State != state || r.Clearing {
				return fmt.Sprintf("partition %d: %+v", r.Partition, r)
			}
			if state == rebuild.Swapped && r.Folded != r.Of {
				s.t.Errorf("swapped: %+v", r)
			}
		}
		last = all
		return ""
	})
	s.oneCopy(b)
	return last
}

// rest waits until no partition is being rebuilt, and nothing that a rebuild left is there.
func (s *stage) rest(b Behavior[script]) {
	s.t.Helper()
	eventually(s.t, func() string {
		for _, r := range s.rebuilds(b) {
			if r.State.Active() || r.Clearing {
				return fmt.Sprintf("%+v", r)
			}
		}
		return ""
	})
	s.oneCopy(b)
}

func (s *stage) door(b Behavior[script]) *rebuild.Door {
	return rebuild.NewDoor(s.redis, b.Name, partitions)
}

func (s *stage) rebuilds(b Behavior[script]) []rebuild.Status {
	s.t.Helper()
	all, err := s.door(b).State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// oneCopy checks that every key is of the copy that is live.
func (s *stage) oneCopy(b Behavior[script]) {
	s.t.Helper()
	st, live := NewReader(b, s.redis).store, s.entries(b, rebuild.FieldLive)
	err := st.Scan(s.t.Context(), func(p int, rests []string) error {
		for _, rest := range rests {
			if rest != rebuild.Key && rebuild.Copy(rest) != live[p] {
				s.t.Errorf("key %s of partition %d is left, live is %q", rest, p, live[p])
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// content is every key of the live copies, without what a task keeps for itself.
func (s *stage) content(b Behavior[script]) map[string]string {
	s.t.Helper()
	found, st, live := map[string]string{}, NewReader(b, s.redis).store, s.entries(b, rebuild.FieldLive)
	err := st.Scan(s.t.Context(), func(p int, rests []string) error {
		for _, rest := range rests {
			name, key := fmt.Sprint(p, "/", strings.TrimPrefix(rest, live[p])), st.Key(p, rest)
			switch {
			case rest == rebuild.Key || rebuild.Copy(rest) != live[p] || rest == live[p]+keyMeta:
			case s.redis.Type(s.t.Context(), key).Val() == "zset":
				found[name] = fmt.Sprint(s.redis.ZRangeWithScores(s.t.Context(), key, 0, -1).Val())
			case s.redis.Type(s.t.Context(), key).Val() == "hash":
				found[name] = fmt.Sprint(s.redis.HGetAll(s.t.Context(), key).Val())
			default:
				found[name] = s.redis.Get(s.t.Context(), key).Val()
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// level waits until all that is in the logs is folded: facts, and notes, which are looked for now and then.
func (s *stage) level(b Behavior[script]) {
	s.t.Helper()
	eventually(s.t, func() string {
		states, err := NewReader(b, s.redis).States(s.t.Context(), partitions)
		if err != nil {
			return err.Error()
		}
		for p, state := range states {
			for topic, at := range state.Positions {
				log := broker.TopicPartition{Topic: topic, Partition: p}
				if ends, err := s.log.Ends(s.t.Context(), []broker.TopicPartition{log}); err != nil || ends[log] > at {
					return fmt.Sprint(log, " is folded to ", at, " of ", ends[log], ": ", err)
				}
			}
		}
		return ""
	})
}

func (s *stage) ask(b Behavior[script]) {
	s.t.Helper()
	if _, err := s.door(b).Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
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

// watchReads reads all orders all the time until stop is called, and 100 times at least: each read is answered, and no
// order becomes older.
func (s *stage) watchReads(b Behavior[script], ids []string) (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	isStopped := func() bool {
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	}
	go func() {
		defer close(done)
		r, versions := NewReader(b, s.redis), map[string]uint64{}
		for reads := 0; reads < 100 || !isStopped(); reads++ {
			id := ids[reads%len(ids)]
			f, state, err := r.Get(context.Background(), logOf(talk, id).Partition, id)
			if err != nil || state.Incomplete {
				s.t.Errorf("read %d: %v, rebuilding %v", reads, err, state.Incomplete)
				return
			}
			if f.Version < versions[id] {
				s.t.Errorf("order %s went back from version %d to %d", id, versions[id], f.Version)
				return
			}
			versions[id] = f.Version
		}
	}()
	return sync.OnceFunc(func() {
		close(stopped)
		<-done
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// entries reads a field of what is kept about the rebuilds of all partitions.
func (s *stage) entries(b Behavior[script], field string) (values []string) {
	for p := range partitions {
		values = append(values, s.redis.HGet(s.t.Context(), NewReader(b, s.redis).store.Key(p, rebuild.Key), field).Val())
	}
	return values
}

// begun waits until every partition has a shadow.
func (s *stage) begun(b Behavior[script]) {
	s.t.Helper()
	eventually(s.t, func() string {
		for p, name := range s.entries(b, "shadow") {
			if name == "" {
				return fmt.Sprint("partition has no shadow: ", p)
			}
		}
		return ""
	})
}

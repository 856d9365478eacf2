package projection

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// RebuildState is where a rebuild is.
type RebuildState string

// The states of a rebuild, of one partition. The first three are under way. Empty: nobody ever asked for one.
const (
	Requested RebuildState = "requested" // its owner has not seen it yet
	Folding   RebuildState = "folding"   // folded from the log's start, beside the live read model
	Comparing RebuildState = "comparing" // caught up; compared with what is live, key by key
	Swapped   RebuildState = "swapped"   // what was rebuilt is live
	Kept      RebuildState = "kept"      // it differed, and the request said to keep what is live
	Cancelled RebuildState = "cancelled"
)

// Active says whether the rebuild is under way.
func (s RebuildState) Active() bool { return s == Requested || s == Folding || s == Comparing }

// Rebuild is the last rebuild of one partition.
type Rebuild struct {
	Partition int `json:"-"`
	// ID of the request; empty: none was made.
	ID    string       `json:"id,omitempty"`
	State RebuildState `json:"state,omitempty"`
	// Keep: if it differs, what is live stays.
	Keep bool `json:"keep,omitempty"`
	// Release: a new fold version began it; then nothing is compared, and nobody can cancel it.
	Release bool `json:"release,omitempty"`
	// Folded records, Of so many as the live read model has folded.
	Folded int64 `json:"folded"`
	Of     int64 `json:"of"`
	// Hashes over all keys; while events arrive, of what was there when it was looked at. Empty: not compared.
	LiveHash    string `json:"live_hash,omitempty"`
	RebuiltHash string `json:"rebuilt_hash,omitempty"`
	// Differing keys, and the first few: order ids, names of indexes and counters.
	Differing int       `json:"differing,omitempty"`
	Differs   []string  `json:"differs,omitempty"`
	Requested time.Time `json:"requested,omitzero"`
	Began     time.Time `json:"began,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	// Clearing: what is no longer used is being deleted.
	Clearing bool `json:"-"`
}

// request is what a door asks of a partition.
type request struct {
	ID     string    `json:"id"`
	Keep   bool      `json:"keep,omitempty"`
	Cancel bool      `json:"cancel,omitempty"`
	At     time.Time `json:"at"`
}

const (
	fieldWant = "want" // the newest request
	fieldIs   = "is"   // what its owner made of it
)

// current reads where a partition's rebuild is.
func current(fields map[string]string) (want request, is Rebuild) {
	_ = json.Unmarshal([]byte(fields[fieldWant]), &want) // what cannot be read asks for nothing
	_ = json.Unmarshal([]byte(fields[fieldIs]), &is)
	return want, is
}

// Rebuilds asks for rebuilds of a projection's read model, from any instance.
type Rebuilds[D any] struct {
	reader     *Reader[D]
	partitions int
}

// NewRebuilds returns the door to a projection's rebuilds. It opens no connection.
func NewRebuilds[D any](b Behavior[D], rdb redis.UniversalClient, partitions int) *Rebuilds[D] {
	return &Rebuilds[D]{reader: NewReader(b, rdb), partitions: partitions}
}

// Start asks for a rebuild of every partition that has none under way; keep: what is live stays if it differs. The owners
// begin within a second. Conflict when all partitions have one, Unavailable when there is no whole read model to rebuild beside or
// the store is away.
func (r *Rebuilds[D]) Start(ctx context.Context, keep bool) ([]Rebuild, error) {
	states, err := r.reader.States(ctx, r.partitions)
	if err != nil {
		return nil, err
	}
	for p, s := range states {
		if s.Rebuilding {
			return nil, fault.Later(time.Second, "partition %d of the read model is not whole: it is being folded from the log's start already", p)
		}
	}
	now, err := r.State(ctx)
	if err != nil {
		return nil, err
	}
	idle := func(b Rebuild) bool { return !b.State.Active() }
	want := request{ID: uuid.NewString(), Keep: keep, At: time.Now().UTC()}
	asked, err := r.ask(ctx, now, idle, func(Rebuild) request { return want })
	if err == nil && asked == 0 {
		return nil, fault.New(fault.Conflict, "every partition of the read model is being rebuilt already")
	}
	if err != nil {
		return nil, err
	}
	return r.State(ctx)
}

// Cancel ends the rebuilds under way, except those that a release began; what is live stays. Conflict when there is none,
// otherwise errors are Unavailable.
func (r *Rebuilds[D]) Cancel(ctx context.Context) ([]Rebuild, error) {
	now, err := r.State(ctx)
	if err != nil {
		return nil, err
	}
	under := func(b Rebuild) bool { return b.State.Active() && !b.Release }
	asked, err := r.ask(ctx, now, under, func(b Rebuild) request {
		return request{ID: b.ID, Keep: b.Keep, Cancel: true, At: b.Requested}
	})
	if err == nil && asked == 0 {
		return nil, fault.New(fault.Conflict, "no rebuild that could be cancelled is under way")
	}
	if err != nil {
		return nil, err
	}
	return r.State(ctx)
}

func (r *Rebuilds[D]) ask(ctx context.Context, now []Rebuild, whom func(Rebuild) bool, what func(Rebuild) request) (asked int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err = r.reader.rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, b := range now {
			if !whom(b) {
				continue
			}
			asked++
			text, err := json.Marshal(what(b))
			if err != nil {
				return err
			}
			pipe.HSet(ctx, r.reader.store.Key(b.Partition, keyRebuild), fieldWant, string(text))
		}
		return nil
	})
	if err != nil {
		return asked, unavailable(err)
	}
	return asked, nil
}

// State reads the last rebuild of every partition. Errors are Unavailable.
func (r *Rebuilds[D]) State(ctx context.Context) ([]Rebuild, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var keys []string
	for p := range r.partitions {
		keys = append(keys, r.reader.store.Key(p, keyRebuild), r.reader.store.Key(p, keyMeta))
	}
	hashes, err := r.reader.store.Hashes(ctx, keys)
	if err != nil {
		return nil, err
	}
	all := make([]Rebuild, r.partitions)
	for p := range all {
		want, is := current(hashes[2*p])
		if want.ID != is.ID {
			is = Rebuild{ID: want.ID, State: Requested, Keep: want.Keep, Requested: want.At}
		}
		is.Partition, is.Clearing = p, len(oldSpaces(hashes[2*p+1])) > 0
		all[p] = is
	}
	return all, nil
}

// listen looks for requests, about once a second.
func (c *cycle[D]) listen(ctx context.Context) error {
	due := time.Since(c.heard) >= c.hearEvery
	var tasks []*task
	var keys []string
	for _, t := range c.tasks {
		if t.taken && (due || !t.heard) {
			tasks, keys = append(tasks, t), append(keys, c.store.Key(t.partition, keyRebuild))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	hashes, err := c.store.Hashes(ctx, keys)
	if err != nil {
		return &outage{partRedis, err}
	}
	if due {
		c.heard = time.Now()
	}
	for i, t := range tasks {
		t.hear(current(hashes[i]))
	}
	return nil
}

// hear takes up a request that was not heeded yet.
func (t *task) hear(want request, is Rebuild) {
	if !t.heard {
		t.heard, t.status = true, is
	}
	switch {
	case want.ID == "" || t.asked != nil:
	case want.ID != t.status.ID, want.Cancel && t.status.State.Active() && t.mixed == "":
		t.asked = &want
	}
}

// heed begins what was asked for, or joins what is under way, or ends it.
func (c *cycle[D]) heed(t *task) *change {
	want := *t.asked
	t.asked = nil
	if want.Cancel {
		end := t.status
		end.ID, end.State, end.Ended = want.ID, Cancelled, time.Now().UTC()
		if t.beside != nil && t.mixed == "" {
			return c.abandon(t, end)
		}
		return c.tell(t, func(r *Rebuild) { *r = end })
	}
	ask := func(r *Rebuild) { r.ID, r.Keep, r.Requested = want.ID, want.Keep, want.At }
	if t.beside != nil {
		return c.tell(t, ask)
	}
	ask(&t.status)
	return c.begin(t)
}

// tell makes a change that says where the rebuild is.
func (c *cycle[D]) tell(t *task, how func(*Rebuild)) *change {
	how(&t.status)
	ch := t.next()
	ch.Ops = append(ch.Ops, c.said(t))
	return ch
}

func (c *cycle[D]) said(t *task) Op {
	text, _ := json.Marshal(t.status) // strings, numbers and times of this age: cannot fail
	return Op{Cmd: "HSET", Key: c.store.Key(t.partition, keyRebuild), Args: []string{fieldIs, string(text)}}
}

// progress adds to a step how far the rebuild is.
func (c *cycle[D]) progress(w *work[D]) {
	t := w.task
	records := int64(0)
	for _, it := range w.items {
		if it.rec != nil {
			records++
		}
	}
	t.status.Folded += records
	t.status.Of = t.status.Folded
	for i, s := range t.sources {
		t.status.Of += max(0, s.applied-w.positions[i])
	}
	c.watch.rebuilt(records)
	t.change.Ops = append(t.change.Ops, c.said(t))
}

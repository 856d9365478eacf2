package projection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Reader reads what a projection stores, from any instance. It needs no projection that runs, only one that ran: what
// it finds, it finds in Redis. It is used by any number of goroutines.
type Reader[D any] struct {
	b     Behavior[D]
	rdb   redis.UniversalClient
	store *taskstore.Store

	mu     sync.Mutex
	copies map[int]string // by partition: the copy that was live when last read
}

// NewReader returns the reader of a projection. It opens no connection.
func NewReader[D any](b Behavior[D], rdb redis.UniversalClient) *Reader[D] {
	return &Reader[D]{b: b, rdb: rdb, store: taskstore.New(rdb, b.Name), copies: map[int]string{}}
}

// Pipes is where commands on the keys of a partition are queued. Valid only while ask runs.
type Pipes func(partition int) redis.Pipeliner

// Keys names a key that Index writes, as it is called now: a rebuild moves what is live to other names.
// Valid only while ask runs.
type Keys func(partition int, rest string) string

// maxMoves is how often one read follows a partition's pointer that moves under it; it moves once per rebuild, of each
// partition in its own moment.
const maxMoves = 5

// Read queues commands on keys of some partitions and returns the states of these, in their order. Per partition,
// commands and state are of one moment. ask is called again when a rebuild was swapped in meanwhile: what it queued
// before does not count then. Errors are of class Unavailable; that a key is missing is none.
func (r *Reader[D]) Read(
	ctx context.Context, partitions []int, ask func(pipe Pipes, keys Keys),
) ([]State, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for range maxMoves * len(partitions) {
		copies := r.known(partitions)
		live := make([]*redis.StringCmd, len(partitions))
		metas := make([]*redis.MapStringStringCmd, len(partitions))
		t := transactions{}
		pipe := func(p int) redis.Pipeliner { return t.of(r.rdb, p) }
		for i, p := range partitions {
			live[i] = pipe(p).HGet(ctx, r.store.Key(p, rebuild.Key), rebuild.FieldLive)
			metas[i] = pipe(p).HGetAll(ctx, r.store.Key(p, copies[p]+keyMeta))
		}
		ask(pipe, func(p int, rest string) string { return r.store.Key(p, copies[p]+rest) })
		if err := t.exec(ctx); err != nil {
			return nil, rebuild.Unavailable(err)
		}
		states := make([]State, len(partitions))
		moved := false
		for i, p := range partitions {
			moved = r.follow(p, live[i].Val(), copies[p]) || moved
			states[i] = r.state(metas[i].Val())
		}
		if !moved {
			return states, nil
		}
	}
	return nil, rebuild.Unavailable(errors.New("it is swapped all the time"))
}

// transactions are those of one read: one for all partitions, but on a Redis Cluster, where none may have keys of two
// slots, one for each.
type transactions map[int]redis.Pipeliner

func (t transactions) of(rdb redis.UniversalClient, partition int) redis.Pipeliner {
	if _, cluster := rdb.(*redis.ClusterClient); !cluster {
		partition = 0
	}
	if t[partition] == nil {
		t[partition] = rdb.TxPipeline()
	}
	return t[partition]
}

// exec sends all at once. A key that is missing is no error, and hides none of another command.
func (t transactions) exec(ctx context.Context) error {
	errs := make(chan error, len(t))
	for _, pipe := range t {
		go func() {
			cmds, _ := pipe.Exec(ctx) // each command has its own error
			var first error
			for _, c := range cmds {
				if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
					first = cmp.Or(first, err)
				}
			}
			errs <- first
		}()
	}
	var first error
	for range t {
		first = cmp.Or(first, <-errs)
	}
	return first
}

func (r *Reader[D]) known(partitions []int) map[int]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	copies := make(map[int]string, len(partitions))
	for _, p := range partitions {
		copies[p] = r.copies[p]
	}
	return copies
}

// follow remembers the copy that is live and says whether another one was read.
func (r *Reader[D]) follow(partition int, live, read string) bool {
	if live == read {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies[partition] = live
	return true
}

// State is how far a partition of the read model is.
type State struct {
	// Positions is the next offset to fold, by topic.
	Positions map[string]int64
	// Incomplete: not everything that the logs held at the last takeover is folded, or nothing is known (Redis was
	// wiped and nobody took over yet, or what is stored is of no use to today's code). What is not found may exist.
	// Package rebuild never sets it: it builds beside a whole read model.
	Incomplete bool
}

// Passed says whether the record at offset is folded.
func (s State) Passed(topic string, offset int64) bool { return s.Positions[topic] > offset }

// Found is one document.
type Found[D any] struct {
	Doc D
	// Version counts the events folded into Doc; 0: there is no document.
	Version uint64
}

// readTimeout bounds every read: a reader is told that the store is away, not kept.
const readTimeout = 3 * time.Second

// Get reads a document and the state of its partition as they were at one moment. Errors are of class Unavailable; that
// Redis lost the document is one.
func (r *Reader[D]) Get(ctx context.Context, partition int, id string) (Found[D], State, error) {
	found, state, err := r.Many(ctx, partition, []string{id})
	if err != nil {
		return Found[D]{}, State{}, err
	}
	return found[0], state, nil
}

// Many reads documents of one partition, as Get does; one that is missing has version 0. Errors are those of Get.
func (r *Reader[D]) Many(ctx context.Context, partition int, ids []string) ([]Found[D], State, error) {
	found, states, err := r.read(ctx, []int{partition}, ids)
	if err != nil {
		return nil, State{}, err
	}
	return found, states[0], nil
}

// Notes reads the documents of notes of one id, as Behavior.Note gave it, in some partitions, with the states of
// these; one that is missing has version 0. Errors are those of Get.
func (r *Reader[D]) Notes(ctx context.Context, partitions []int, id string) ([]Found[D], []State, error) {
	return r.read(ctx, partitions, []string{NoteID(id)})
}

// read looks for some documents in each of some partitions.
func (r *Reader[D]) read(ctx context.Context, partitions []int, ids []string) ([]Found[D], []State, error) {
	var docs []*redis.StringCmd
	var known []*redis.FloatCmd // whether the set of ages has it
	states, err := r.Read(ctx, partitions, func(pipe Pipes, keys Keys) {
		docs, known = nil, nil
		for _, p := range partitions {
			for _, id := range ids {
				docs = append(docs, pipe(p).Get(ctx, keys(p, keyOrder+id)))
				if r.b.Ages != "" {
					known = append(known, pipe(p).ZScore(ctx, keys(p, r.b.Ages), id))
				}
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	found := make([]Found[D], len(docs))
	for i, doc := range docs {
		at, id := i/len(ids), ids[i%len(ids)]
		found[i], err = r.decode(id, doc.Val())
		if err == nil && found[i].Version == 0 && known != nil && known[i].Err() == nil && !states[at].Incomplete {
			err = r.missed(ctx, partitions[at], id)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return found, states, nil
}

// missed has a partition folded again of which a document is lost: not found, though the set of ages has it.
func (r *Reader[D]) missed(ctx context.Context, partition int, id string) error {
	live := r.known([]int{partition})[partition]
	keys := []string{
		r.store.Key(partition, live+keyMeta), r.store.Key(partition, live+keyOrder+id), r.store.Key(partition, live+r.b.Ages),
	}
	if err := spoil.Run(ctx, r.rdb, keys, id).Err(); err != nil {
		return rebuild.Unavailable(err)
	}
	return rebuild.Unavailable(errMissing)
}

// States reads the state of the partitions 0 to partitions-1. Errors are of class Unavailable.
func (r *Reader[D]) States(ctx context.Context, partitions int) ([]State, error) {
	every := make([]int, partitions)
	for p := range every {
		every[p] = p
	}
	return r.Read(ctx, every, func(Pipes, Keys) {})
}

func (r *Reader[D]) state(meta map[string]string) State {
	s := State{Positions: map[string]int64{}, Incomplete: r.b.use(meta[fieldVersion]) == useNothing}
	for _, topic := range r.b.topics() {
		at, err1 := strconv.ParseInt(meta[task.PrefixInput+topic], 10, 64)
		goal, err2 := strconv.ParseInt(meta[fieldGoal+topic], 10, 64)
		s.Positions[topic] = at
		s.Incomplete = s.Incomplete || err1 != nil || err2 != nil || at < goal
	}
	return s
}

func (r *Reader[D]) decode(id, text string) (Found[D], error) {
	if text == "" {
		return Found[D]{}, nil
	}
	var rec record[D]
	if err := r.b.parse(text, &rec); err != nil {
		return Found[D]{}, rebuild.Unavailable(fmt.Errorf("document of order %s: %w", id, err))
	}
	return Found[D]{Doc: rec.Doc, Version: rec.Version}, nil
}

package admission

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// lookEvery is how often it is looked whether the fold has come far enough.
const lookEvery = 5 * time.Millisecond

// lookWithin bounds one look at the store. Who waits longer, waits for the fold.
const lookWithin = 2 * time.Second

// markerTTL is how long a marker serves comparisons; the folded order takes over within moments.
const markerTTL = 24 * time.Hour

// fold is what the tasks have folded, as it is looked at from outside.
type fold struct {
	topic   string // of the participant's facts
	version string // of what its tasks store
	cfg     participant.Config
	st      *taskstore.Store
	now     present
	ends    ends

	mu          sync.Mutex
	trusted     map[int]view  // by partition: a fold known to have reached the end of the log as it was on some arrival
	generations map[int]int64 // by partition: of its orders, as they were met last
}

// view is what was seen of a partition's meta: a claim and how far its changes had come. A store that was wiped
// has another owner, one that was restored an older owner or a smaller seq.
type view struct {
	owner string
	seq   int64
}

// look reads, in one step, what a partition's task and the marker say of an order; with ARGV[1] it sets the marker when
// neither knows the order and the partition's fold is the one that is trusted (ARGV[2] owner, ARGV[3] lowest seq), of
// the log that is there now (ARGV[10]; meta says it in field ARGV[9]). KEYS from the third on are where the order may
// be, as many as ARGV[7] says; one that has facts begins with orders.HasFacts. What follows are keys of the witness.
// Both are those of generation ARGV[8] of the orders: of a store that has another or misses one, nothing is believed.
var look = redis.NewScript(`
local meta = redis.call('HMGET', KEYS[1], 'owner', 'seq', 'folded', 'fold_version', 'generation', 'kept', ARGV[9])
local marker = redis.call('GET', KEYS[2])
local o, last = false, 2 + tonumber(ARGV[7])
for i = 3, last do o = o or redis.call('HGET', KEYS[i], ARGV[6]) end
local exists = o and string.byte(o) == 10
local whole = meta[5] == ARGV[8] and redis.call('EXISTS', unpack(KEYS, last + 1)) == tonumber(meta[6] or 0)
local new = 0
local here = not meta[7] or meta[7] == ARGV[10]
local trusted = whole and here and meta[1] and meta[1] == ARGV[2] and tonumber(meta[2]) >= tonumber(ARGV[3])
if ARGV[1] ~= '' and trusted and not exists then
  if not marker or marker == ARGV[5] then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
    new = 1
  end
end
return {meta[1] or '', meta[2] or '0', meta[3] or '-1', marker or '', new, o or '', meta[4] or '', meta[5] or '',
	whole and 1 or 0, here and 1 or 0}`)

// counted are the keys of a partition's task that are counted.
func (f *fold) counted(p int, generation int64) []string {
	keys := orders.Counted(generation)
	for i, rest := range keys {
		keys[i] = f.st.Key(p, rest)
	}
	return keys
}

// looked is the answer of look.
type looked struct {
	view
	folded int64
	marker string
	marked bool
	order  string // its text
	// ours: it was folded as it is here, and nothing of it is missing. What another release keeps says nothing, until its
	// instance is gone.
	ours bool
	gone bool // it was folded of a log that is gone: nothing of it counts, nor does the marker
}

func (l looked) exists() bool { return l.ours && strings.HasPrefix(l.order, orders.HasFacts) }

func (f *fold) look(ctx context.Context, p int, id, mark string, trust view, stale string) (looked, error) {
	log, err := f.now.log(ctx, f.cfg)
	if err != nil {
		return looked{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	for generation := f.generation(p); ; { // as the task wrote it last, which the script says
		keys := []string{f.st.Key(p, "meta"), f.st.Key(p, "marker:"+id)}
		for _, rest := range []string{orders.KeyParked, orders.Key(generation), orders.Key(generation - 1)} {
			keys = append(keys, f.st.Key(p, rest))
		}
		v, err := look.Run(ctx, f.cfg.Redis, append(keys, f.counted(p, generation)...),
			mark, trust.owner, trust.seq, markerTTL.Milliseconds(), stale, id, len(keys)-2, generation,
			task.PrefixLog+f.topic, log).Slice()
		if err != nil {
			return looked{}, fault.Later(time.Second, "redis: %w", err)
		}
		text := func(i int) string { s, _ := v[i].(string); return s }
		flag := func(i int) bool { n, _ := v[i].(int64); return n == 1 }
		if at := number(text(7), generation); at != generation {
			generation = at
			f.met(p, at)
			continue
		}
		return looked{
			view: view{text(0), number(text(1), 0)}, folded: number(text(2), -1),
			marker: text(3), marked: flag(4), order: text(5),
			ours: text(6) == f.version && flag(8) && flag(9), gone: !flag(9),
		}, nil
	}
}

// reach waits until the partition is folded to the end the log has now, and looks again; it remembers whose fold that
// was.
func (f *fold) reach(ctx context.Context, p int, orderID string, within time.Duration) (looked, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	end, err := f.ends.of(ctx, p)
	if err != nil {
		return looked{}, fault.Later(time.Second, "the log cannot be asked: %w", err)
	}
	for {
		l, err := f.look(ctx, p, orderID, "", view{}, "")
		if err != nil {
			return looked{}, err
		}
		if l.ours && l.owner != "" && l.folded >= end {
			f.trust(p, l.view)
			return l, nil
		}
		if wait.Sleep(ctx, lookEvery) != nil {
			return looked{}, fault.Later(time.Second, "the order's partition %d is not folded to its end yet", p)
		}
	}
}

func (f *fold) trust(p int, v view) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.trusted[p]; !ok || old.owner != v.owner || old.seq < v.seq {
		f.trusted[p] = v
	}
}

func (f *fold) generation(p int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.generations[p]
}

func (f *fold) met(p int, generation int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generations[p] = generation
}

func (f *fold) trustedView(p int) view {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trusted[p]
}

// number reads a number; what is none is otherwise.
func number(s string, otherwise int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

package simulation

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
)

// instance is one process of a participant. All it does outside itself goes through call, so that it can be killed
// (nothing it does afterwards has an effect, and no answer reaches it) and frozen (its calls wait, on their way out or
// on their way back).
type instance struct {
	world *world
	part  int
	slot  int
	redis *redis.Client
	door  *admission.Control[state] // of order's instances
	stop  context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex
	dead   bool
	heir   bool          // somebody sees to its successor
	thaw   chan struct{} // closed when it goes on; nil while it runs
	noWay  bool          // to the store
	member string        // of its consumer group
}

// latency is how long a call is on the wire, one way.
const latency = time.Millisecond

var errDead = fault.New(fault.Unavailable, "this instance was killed")

// start runs an instance in a slot until it is stopped or killed.
func (w *world) start(part, slot int) {
	ctx, stop := context.WithCancel(context.Background())
	in := &instance{world: w, part: part, slot: slot, stop: stop, done: make(chan struct{})}
	in.redis = w.redis.client(in.store)
	cfg := participant.Config{
		Log: wire{in}, Redis: in.redis, Partitions: partitions, HoldLimit: holdLimit, LeaveWithin: 2 * time.Second,
	}
	w.mu.Lock()
	b := behavior(in, w.version[part])
	w.slots[part][slot] = in
	w.mu.Unlock()
	if part == order {
		in.door = admission.New(b, cfg)
	}
	w.work.Go(func() {
		defer close(in.done)
		if err := participant.New(b, cfg).Run(ctx); err != nil {
			w.wrong("an instance of %s ended: %v", names[part], err)
		}
		_ = in.redis.Close()
	})
}

// alive waits while the instance is frozen, and says whether it lives.
func (in *instance) alive() bool {
	for {
		in.mu.Lock()
		dead, thaw := in.dead, in.thaw
		in.mu.Unlock()
		if dead || thaw == nil {
			return !dead
		}
		<-thaw
	}
}

func (in *instance) kill() {
	in.mu.Lock()
	in.dead = true
	in.mu.Unlock()
	in.unfreeze()
	in.stop()
}

// replace says, once, that the caller is the one to start its successor.
func (in *instance) replace() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	first := !in.heir
	in.heir = true
	return first
}

func (in *instance) freeze() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.thaw == nil {
		in.thaw = make(chan struct{})
	}
}

func (in *instance) unfreeze() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.thaw != nil {
		close(in.thaw)
		in.thaw = nil
	}
}

// cutFor is how long an instance that woke up has no way to the store: longer than it may take to leave.
const cutFor = 4 * time.Second

func (in *instance) cut(off bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.noWay = off
}

// call does something outside the instance. Faults that wait for this place strike before it leaves or before its
// answer arrives.
func (in *instance) call(ctx context.Context, place string, wire time.Duration, do func() error) error {
	in.world.strike(in, place+" out")
	if !in.alive() {
		return errDead
	}
	pause(ctx, wire)
	if ctx.Err() != nil {
		return fault.As(fault.Unavailable, ctx.Err())
	}
	if !in.alive() {
		return errDead
	}
	err := do()
	pause(ctx, wire)
	in.world.strike(in, place+" back")
	if !in.alive() {
		return errDead
	}
	return err
}

// store is every command to Redis.
func (in *instance) store(cmds []redis.Cmder, do func(redis.Cmder)) error {
	place := in.world.redis.placeOf(cmds)
	return in.call(context.Background(), place, latency, func() error {
		in.mu.Lock()
		noWay := in.noWay
		in.mu.Unlock()
		if noWay {
			return errStore
		}
		return in.world.storeFate(place, cmds, do)
	})
}

// placeOf names what commands that are sent together are for, by their scripts.
func (m *redisMemory) placeOf(cmds []redis.Cmder) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, cmd := range cmds {
		script, _ := cmd.Args()[min(1, len(cmd.Args())-1)].(string)
		if known, ok := m.scripts[script]; ok {
			script = known
		}
		switch {
		case !strings.Contains(script, "redis.call"): // a plain command, or a script that is sent again as a whole
		case strings.Contains(script, "HSETNX"):
			return "claim"
		case strings.Contains(script, "'DEL'"), strings.Contains(script, "'UNLINK'"), strings.Contains(script, "'fold_version', ARGV[2]"):
			return "reset"
		case slices.ContainsFunc(cmd.Args(), func(a any) bool { ops, _ := a.(string); return strings.Contains(ops, "RPUSH") }):
			return "decide" // an apply with something for the outbox
		default:
			return "apply"
		}
	}
	return "load"
}

// wire is the broker as one instance reaches it.
type wire struct{ *instance }

func (i wire) Fetch(ctx context.Context, from []broker.Position) (got []broker.Fetched, err error) {
	err = i.call(ctx, "fetch", latency, func() (err error) {
		got, err = i.world.log.Fetch(ctx, from)
		return err
	})
	if err != nil {
		pause(ctx, 500*time.Millisecond) // like a client, it does not fail in a tight loop
		return nil, err
	}
	return got, nil
}

// produceTimeout is when a client gives up waiting for the broker's answer.
const produceTimeout = 10 * time.Second

func (i wire) Produce(ctx context.Context, batches []broker.Batch, each func(broker.Produced)) {
	ctx, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	var results []broker.Produced
	err := i.call(ctx, "produce", latency, func() error {
		i.world.log.Produce(ctx, batches, func(p broker.Produced) { results = append(results, p) })
		return nil
	})
	for n, b := range batches {
		p := broker.Produced{TopicPartition: b.TopicPartition, Base: -1, Err: err}
		if err == nil {
			p = results[n]
		}
		each(p)
	}
}

func (i wire) Ends(ctx context.Context, logs []broker.TopicPartition) (got map[broker.TopicPartition]int64, err error) {
	err = i.call(ctx, "ends", latency, func() (err error) {
		got, err = i.world.log.Ends(ctx, logs)
		return err
	})
	return got, err
}

func (i wire) Starts(ctx context.Context, logs []broker.TopicPartition) (got map[broker.TopicPartition]int64, err error) {
	err = i.call(ctx, "ends", latency, func() (err error) {
		got, err = i.world.log.Starts(ctx, logs)
		return err
	})
	return got, err
}

func (i wire) Identities(ctx context.Context, topics []string) (got map[string]string, err error) {
	err = i.call(ctx, "identities", latency, func() (err error) {
		got, err = i.world.log.Identities(ctx, topics)
		return err
	})
	return got, err
}

func (i wire) Provision(ctx context.Context, topics []broker.Topic) error {
	return i.call(ctx, "provision", latency, func() error { return i.world.log.Provision(ctx, topics) })
}

func (i wire) Check(ctx context.Context, topics []broker.Topic) error {
	return i.call(ctx, "provision", latency, func() error { return i.world.log.Check(ctx, topics) })
}

func (i wire) Join(ctx context.Context, group string, topics []string, partitions int,
	serve func(context.Context, broker.Generation) error) error {
	return i.world.log.Join(ctx, group, topics, partitions, func(ctx context.Context, g broker.Generation) error {
		i.mu.Lock()
		i.member, _, _ = strings.Cut(g.ID(), "@")
		i.mu.Unlock()
		return serve(ctx, membership{g, i.instance})
	})
}

// membership is a generation as one instance reaches its coordinator.
type membership struct {
	broker.Generation
	in *instance
}

func (g membership) Commit(ctx context.Context, offsets map[broker.TopicPartition]int64) error {
	return g.in.call(ctx, "commit", latency, func() error { return g.Generation.Commit(ctx, offsets) })
}

func (g membership) Holds(ctx context.Context) error {
	return g.in.call(ctx, "holds", latency, func() error { return g.Generation.Holds(ctx) })
}

package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Cannot lists the classes of faults that cannot be made to happen here: those of stores that somebody else runs, and of a broker
// that is alone.
func (r *Rig) Cannot() []schedule.Class {
	var cannot []schedule.Class
	if !r.EmbeddedKafka() {
		cannot = append(cannot, schedule.Leader)
		if !r.Real {
			cannot = append(cannot, schedule.Broker, schedule.Anew)
		}
	}
	if !r.EmbeddedRedis() && !r.Real {
		cannot = append(cannot, schedule.Empty, schedule.Away, schedule.Restore, schedule.Full, schedule.Silent)
	}
	return cannot
}

// RestartBroker kills the broker and blocks until it is there again, with its log.
func (r *Rig) RestartBroker(ctx context.Context) error {
	if r.kafka != nil {
		return r.kafka.Again(ctx)
	}
	return r.Kill(ctx, "broker")
}

// EmptyRedis kills Redis and lets it come back empty after a while; it blocks until then.
func (r *Rig) EmptyRedis(ctx context.Context, away time.Duration) error {
	r.stored.Lock()
	defer r.stored.Unlock()
	if r.redis != nil {
		return r.redisAgain(ctx, away, "")
	}
	if away == 0 {
		return r.Kill(ctx, "redis")
	}
	if err := r.Do(ctx, "redis", "stop"); err != nil {
		return err
	}
	_ = wait.Sleep(ctx, away) // the caller looks at ctx
	return r.Do(ctx, "redis", "start")
}

// FlushRedis wipes Redis, and says how many keys it had.
func (r *Rig) FlushRedis(ctx context.Context) (keys int, err error) {
	n, err := r.Store.DBSize(ctx).Result()
	if err != nil {
		return 0, err
	}
	return int(n), r.Control.FlushRedis(ctx)
}

// Snapshot remembers what Redis holds now.
func (r *Rig) Snapshot(ctx context.Context) (err error) {
	r.stored.Lock()
	defer r.stored.Unlock()
	defer func() {
		if err == nil {
			r.snapshot = time.Now()
		}
	}()
	if r.redis == nil {
		return r.Control.SnapshotRedis(ctx)
	}
	if err := r.Store.Save(ctx).Err(); err != nil {
		return err
	}
	b, err := os.ReadFile(r.redisFile("dump.rdb"))
	if err != nil {
		return err
	}
	return os.WriteFile(r.redisFile("snapshot"), b, 0o600)
}

// Restore puts the last snapshot in the place of what Redis holds, and says how old that is.
func (r *Rig) Restore(ctx context.Context) (age time.Duration, err error) {
	r.stored.Lock()
	defer r.stored.Unlock()
	age = time.Since(r.snapshot)
	if r.redis == nil {
		return age, r.Control.RestoreRedis(ctx)
	}
	return age, r.redisAgain(ctx, 0, r.redisFile("snapshot"))
}

// ThinRedis deletes some of what Redis holds, drawn from a seed, and says how many keys of how many.
func (r *Rig) ThinRedis(ctx context.Context, seed uint64) (lost, of int, err error) {
	all, err := r.Store.Keys(ctx, "*").Result()
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(all)
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same again from the same seed
	keys := slices.DeleteFunc(all, func(key string) bool { return !noticed(key) || random.IntN(8) > 0 })
	if len(keys) == 0 {
		return 0, len(all), errors.New("there was nothing to lose")
	}
	n, err := r.Store.Del(ctx, keys...).Result()
	return int(n), len(all), err
}

// unnoticed are keys of the read model with names of their own for each customer, minute or group: that one of them alone is gone is not
// noticed (docs/protocol.md).
var unnoticed = regexp.MustCompile(`^\{(?:query|console):[0-9]+\}:(~[a-z0-9]+:)?(customer|minute|letters:group|letters:asked|order:~|order:.*[^0-9a-f-])`)

func noticed(key string) bool { return !unnoticed.MatchString(key) }

// FillRedis leaves Redis no memory for a while. It is an error when Redis takes what it is given all the same.
func (r *Rig) FillRedis(ctx context.Context, length time.Duration) error {
	if err := r.Store.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		return err
	}
	said := r.Store.Set(ctx, "prove", "full", 0).Err()
	_ = wait.Sleep(ctx, length) // the caller looks at ctx
	err := r.Store.ConfigSet(context.WithoutCancel(ctx), "maxmemory", "0").Err()
	if !redis.HasErrorPrefix(said, "OOM") {
		err = errors.Join(err, fmt.Errorf("a full Redis answers %q", fmt.Sprint(said)))
	}
	return err
}

// stopRedis stops its process where it is: whoever is connected stays so, and is not answered.
func (r *Rig) stopRedis(ctx context.Context) error {
	if r.redis != nil {
		return r.redis.signal(syscall.SIGSTOP)
	}
	return r.Do(ctx, "redis", "pause")
}

func (r *Rig) continueRedis(ctx context.Context) error {
	if r.redis != nil {
		return r.redis.signal(syscall.SIGCONT)
	}
	return r.Do(ctx, "redis", "resume")
}

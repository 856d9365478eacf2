package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
)

// Cannot lists the classes of faults that cannot be made to happen here: those of stores that somebody else runs, and of a broker
// that is alone.
func (r *Rig) Cannot() []schedule.Class {
	var cannot []schedule.Class
	if !r.EmbeddedKafka() {
		cannot = append(cannot, schedule.Leader)
		if !r.Real {
			cannot = append(cannot, schedule.Broker)
		}
	}
	if !r.EmbeddedRedis() && !r.Real {
		cannot = append(cannot, schedule.Empty, schedule.Away, schedule.Restore)
	}
	return cannot
}

// RestartBroker kills the broker and blocks until it is there again, with its log.
func (r *Rig) RestartBroker(ctx context.Context) error {
	if r.kafka != nil {
		return r.kafka.again(ctx)
	}
	return r.Kill(ctx, "broker")
}

// EmptyRedis kills Redis and lets it come back empty after a while; it blocks until then.
func (r *Rig) EmptyRedis(ctx context.Context, away time.Duration) error {
	r.stored.Lock()
	defer r.stored.Unlock()
	if r.redis != nil {
		return r.redis.again(ctx, away, "")
	}
	if away == 0 {
		return r.Kill(ctx, "redis")
	}
	if err := r.Do(ctx, "redis", "stop"); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(away):
	}
	return r.Do(ctx, "redis", "start")
}

// FlushRedis wipes Redis, and says how many keys it had.
func (r *Rig) FlushRedis(ctx context.Context) (keys int, err error) {
	size, err := r.redisSays(ctx, "DBSIZE")
	if err != nil {
		return 0, err
	}
	if keys, err = strconv.Atoi(strings.TrimPrefix(size, ":")); err != nil {
		return 0, fmt.Errorf("DBSIZE answers %q", size)
	}
	return keys, r.Control.FlushRedis(ctx)
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
	if said, err := r.redisSays(ctx, "SAVE"); err != nil || said != "+OK" {
		return errors.Join(err, fmt.Errorf("SAVE answers %q", said))
	}
	b, err := os.ReadFile(filepath.Join(r.redis.dir, "dump.rdb"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.redis.dir, "snapshot"), b, 0o600)
}

// Restore puts the last snapshot in the place of what Redis holds, and says how old that is.
func (r *Rig) Restore(ctx context.Context) (age time.Duration, err error) {
	r.stored.Lock()
	defer r.stored.Unlock()
	age = time.Since(r.snapshot)
	if r.redis == nil {
		return age, r.Control.RestoreRedis(ctx)
	}
	return age, r.redis.again(ctx, 0, filepath.Join(r.redis.dir, "snapshot"))
}

// redisSays sends one command and returns the first line of its answer.
func (r *Rig) redisSays(ctx context.Context, command string) (string, error) {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.RedisAddr)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "*1\r\n$%d\r\n%s\r\n", len(command), command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

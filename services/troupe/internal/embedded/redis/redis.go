// Package redis runs miniredis, the playground's stand-in for Redis, and wipes, remembers and restores it or a real
// one.
package redis

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	goredis "github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// expireEvery is how often keys past their time to live go. Each round walks all keys, so it is not for every command.
const expireEvery = 2 * time.Second

const flushWithin = 5 * time.Second

// Config of the embedded Redis.
type Config struct {
	Addr      string `env:"REDIS_ADDR" envDefault:"127.0.0.1:6379" help:"address to listen on, host:port. Everything is kept in memory and forgotten at the end, as nothing in Troupe minds"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`
}

// Run serves an empty Redis until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(cfg.Addr); err != nil {
		return fault.New(fault.Permanent, "REDIS_ADDR: %w", err)
	}
	defer m.Close()
	m.Server().SetPreHook(new(memory).answer)
	slog.Info("redis is up", "address", m.Addr())
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			m.FastForward(now.Sub(last))
			last = now
		}
	}
}

// memory is what the embedded Redis says of its memory, and refuses where that is full. It holds what it is given until
// it is told otherwise.
type memory struct{ max atomic.Int64 }

// answer takes the commands that a real Redis answers out of its memory.
func (m *memory) answer(c *server.Peer, cmd string, args ...string) bool {
	switch {
	case cmd == "INFO" && len(args) == 1 && args[0] == "memory":
		c.WriteBulk(fmt.Sprintf("# Memory\r\nused_memory:%d\r\nmaxmemory:%d\r\nmaxmemory_policy:noeviction\r\n", used(), m.max.Load()))
	case cmd == "CONFIG" && len(args) == 3 && strings.EqualFold(args[0], "set") && strings.EqualFold(args[1], "maxmemory"):
		n, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			c.WriteError("ERR CONFIG SET failed - argument must be a memory value")
			return true
		}
		m.max.Store(n)
		c.WriteOK()
	case m.max.Load() > 0 && slices.Contains(grows, cmd) && used() > m.max.Load():
		c.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
	default:
		return false
	}
	return true
}

// grows are the commands of ours that a Redis without memory refuses. Of a script it refuses the first of them; here it
// is the whole script.
var grows = []string{"SET", "HSET", "HINCRBY", "ZADD", "ZINCRBY", "RPUSH", "LPUSH", "EVAL", "EVALSHA"}

// used is about what this process holds, in bytes.
func used() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()) //nolint:gosec // a process holds less
}

// Flush wipes the Redis at addr (FLUSHALL). It blocks for 5 s at most.
func Flush(ctx context.Context, addr string) error {
	c := connect(addr, flushWithin)
	defer func() { _ = c.Close() }()
	return unavailable(addr, c.FlushAll(ctx).Err())
}

// connect returns a client that asks once, and waits so long for an answer.
func connect(addr string, within time.Duration) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: addr, DialTimeout: within, ReadTimeout: within, WriteTimeout: within, MaxRetries: -1, DialerRetries: 1,
	})
}

func unavailable(addr string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "redis at %s: %w", addr, err)
}

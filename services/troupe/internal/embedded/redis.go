package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/proto"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// expireEvery is how often keys past their time to live go. Each round walks all keys, so it is not for every command.
const expireEvery = 2 * time.Second

// RedisConfig of the embedded Redis.
type RedisConfig struct {
	Addr      string `env:"REDIS_ADDR" envDefault:"127.0.0.1:6379" help:"address to listen on, host:port. Everything is kept in memory and forgotten at the end, as nothing in Troupe minds"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`
}

// Validate names the variable at fault.
func (c RedisConfig) Validate() error {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return fault.Field("REDIS_ADDR", "must be host:port: %w", err)
	}
	return nil
}

// RunRedis serves an empty Redis until ctx ends.
func RunRedis(ctx context.Context, cfg RedisConfig) error {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(cfg.Addr); err != nil {
		return fault.New(fault.Permanent, "REDIS_ADDR: %w", err)
	}
	defer m.Close()
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

// Flush wipes the Redis at addr (FLUSHALL). It blocks for 5 s at most.
func Flush(ctx context.Context, addr string) error {
	c, done, err := dial(ctx, addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer done()
	answer, err := proto.NewClient(c).Do("FLUSHALL")
	if err != nil {
		return fault.New(fault.Unavailable, "flush redis at %s: %w", addr, err)
	}
	if answer != proto.Inline("OK") {
		return fmt.Errorf("flush redis at %s: answered %q", addr, answer)
	}
	return nil
}

package taskstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

const (
	// askEvery is how often Redis is asked about its memory, and askWithin bounds the answer.
	askEvery  = time.Second
	askWithin = 3 * time.Second
	// noEviction is the one maxmemory-policy under which Redis refuses to write when it is full. Under any other it
	// deletes keys by itself, which is right for a cache. It is refused without a limit too: one that is set later would
	// make it delete at once.
	noEviction = "noeviction"
)

var refused = telemetry.RedisRefused.Counter()

// Memory watches the memory of the Redis behind a client. While that Redis would delete keys by itself, every command
// of the client is refused, as if Redis were away: what waits out an outage waits, nothing is decided, and no door
// calls an order unknown.
type Memory struct {
	rdb    redis.UniversalClient
	known  atomic.Pointer[usage] // nil: Redis has not been asked yet
	fullAt atomic.Int64          // when a command was last refused for want of memory, in Unix nanoseconds
	mu     sync.Mutex
	told   string // how it was when the log was last told
}

// usage is what Redis says of its memory; of several servers, the policy that is wrong and the one that is fullest.
type usage struct {
	policy    string // empty: it does not say
	used, max int64  // bytes; max 0: there is no limit
}

func (u usage) evicts() bool { return u.policy != "" && u.policy != noEviction }

// WatchMemory has the commands of a client depend on what its Redis says of its memory: the first one asks, then Run
// does.
func WatchMemory(rdb redis.UniversalClient) *Memory {
	m := &Memory{rdb: rdb}
	rdb.AddHook(guard{m})
	return m
}

// Run asks Redis once a second until ctx ends. What Redis does not answer is as it was: an outage is told by those who
// have it.
func (m *Memory) Run(ctx context.Context) error {
	defer telemetry.Gauges(m.observe, telemetry.RedisUsed, telemetry.RedisMax, telemetry.RedisEvicting)()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		_, _ = m.ask(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Ready returns nil unless Redis would delete keys or is full; otherwise it says so. It does not block.
func (m *Memory) Ready() error {
	if u := m.known.Load(); u != nil {
		return m.complaint(*u)
	}
	return nil
}

func (m *Memory) complaint(u usage) error {
	switch {
	case u.evicts():
		return fault.New(fault.Unavailable,
			"it would delete keys: maxmemory-policy is %s and must be %s", u.policy, noEviction)
	case u.max > 0 && u.used >= u.max, time.Since(time.Unix(0, m.fullAt.Load())) < 2*askEvery:
		return fault.New(fault.Unavailable,
			"it is full: %d of %d MiB are used, and nothing can be written", u.used>>20, u.max>>20)
	}
	return nil
}

func (m *Memory) observe(_ context.Context, observe telemetry.Observe) {
	u := m.known.Load()
	if u == nil || u.policy == "" {
		return
	}
	evicting := 0.0
	if u.evicts() {
		evicting = 1
	}
	observe(telemetry.RedisUsed, float64(u.used))
	observe(telemetry.RedisMax, float64(u.max))
	observe(telemetry.RedisEvicting, evicting)
}

// ask asks every server, and tells the log when something is other than before.
func (m *Memory) ask(ctx context.Context) (*usage, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var worst usage
	var one sync.Mutex
	err := eachNode(ctx, m.rdb, func(ctx context.Context, node redis.Cmdable) error {
		u, err := askNode(ctx, node)
		one.Lock()
		defer one.Unlock()
		if u.evicts() || worst.policy == "" {
			worst.policy = u.policy
		}
		if worst.max == 0 || u.max > 0 && float64(u.used)/float64(u.max) > float64(worst.used)/float64(worst.max) {
			worst.used, worst.max = u.used, u.max
		}
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	m.known.Store(&worst)
	m.tell(worst)
	return &worst, nil
}

// askNode asks one server. What managed ones forbid is not known then, and no error.
func askNode(ctx context.Context, node redis.Cmdable) (u usage, err error) {
	info, err := node.Info(ctx, "memory").Result()
	if err == nil {
		for line := range strings.Lines(info) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			switch name {
			case "maxmemory_policy":
				u.policy = value
			case "used_memory":
				u.used, _ = strconv.ParseInt(value, 10, 64)
			case "maxmemory":
				u.max, _ = strconv.ParseInt(value, 10, 64)
			}
		}
	} else if !forbidden(err) {
		return u, err
	}
	if u.policy != "" {
		return u, nil
	}
	config, err := node.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil && !forbidden(err) {
		return u, err
	}
	u.policy = config["maxmemory-policy"]
	return u, nil
}

// forbidden says that the server answered, and that it will not say.
func forbidden(err error) bool {
	var answered redis.Error
	if !errors.As(err, &answered) {
		return false
	}
	for _, passing := range []string{"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"} {
		if redis.HasErrorPrefix(err, passing) {
			return false
		}
	}
	return true
}

// tell says in one line each how it is now.
func (m *Memory) tell(u usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := "", m.complaint(u)
	switch {
	case u.evicts():
		now = "evicts"
	case err != nil:
		now = "full"
	case u.policy == "":
		now = "silent"
	}
	if now == m.told {
		return
	}
	m.told = now
	switch now {
	case "evicts":
		slog.Error("redis must not delete keys by itself; waiting until its maxmemory-policy is noeviction",
			"maxmemory_policy", u.policy)
	case "full":
		slog.Error("redis is full; waiting until it has more memory", "used_bytes", u.used, "maxmemory_bytes", u.max)
	case "silent":
		slog.Warn("redis does not say its maxmemory-policy; see to it that it is noeviction")
	default:
		slog.Info("redis has memory, and keeps its keys")
	}
}

// guard refuses the commands of a client.
type guard struct{ *Memory }

func (g guard) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (g guard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := g.refuses(ctx, cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		err := next(ctx, cmd)
		g.heard(err)
		return err
	}
}

func (g guard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := g.refuses(ctx, cmds...); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			g.heard(cmd.Err())
		}
		return err
	}
}

// ways are the commands by which a connection is opened and Redis is asked.
var ways = []string{"hello", "auth", "select", "client", "readonly", "ping", "info", "config", "cluster", "command"}

// refuses returns why commands may not be sent; nil: they may.
func (g guard) refuses(ctx context.Context, cmds ...redis.Cmder) error {
	if !slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return !slices.Contains(ways, c.Name()) }) {
		return nil
	}
	u := g.known.Load()
	if u == nil {
		var err error
		if u, err = g.ask(ctx); err != nil {
			return err
		}
	}
	if !u.evicts() {
		return nil
	}
	telemetry.By(telemetry.Reason.String("evicts")).Add(ctx, refused, int64(len(cmds)))
	return fmt.Errorf("its maxmemory-policy is %s", u.policy)
}

// heard notices that Redis had no memory for a command.
func (g guard) heard(err error) {
	if err != nil && redis.HasErrorPrefix(err, "OOM") {
		g.fullAt.Store(time.Now().UnixNano())
		telemetry.By(telemetry.Reason.String("full")).Add(context.Background(), refused, 1)
	}
}
